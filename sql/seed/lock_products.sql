-- Lock all products: whoever puts one into a cart waits until the catalogue is made anew.
-- used by: server.py seed
-- returns: one
-- allow: full scan (all of them go)
-- plan: the primary key, whole: its rows are what a cart's line waits for
SELECT COUNT(*) AS products
FROM products FORCE INDEX (PRIMARY)
FOR UPDATE
