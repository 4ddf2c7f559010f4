-- Remove all products, before the catalogue is replaced.
-- used by: server.py seed
-- returns: count
-- changes: products
-- allow: full scan (all of them go)
DELETE FROM products
