-- Remove all products, before the catalogue is made anew.
-- used by: server.py seed
-- returns: count
DELETE FROM products
