-- Remove all products, before the catalogue is made anew.
-- used by: server.py seed
-- returns: count
-- allow: full scan (all of them go)
DELETE FROM products
