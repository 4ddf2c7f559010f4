-- Lock all products: an add to a cart waits until the catalogue is replaced.
-- used by: server.py seed
-- returns: one
-- columns: products BIGINT
-- allow: full scan (all of them go)
-- plan: the primary key, whole: a cart's new line waits for its rows
SELECT COUNT(*) AS products
FROM products FORCE INDEX (PRIMARY)
FOR UPDATE
