-- Remove all categories, before the catalogue is made anew.
-- used by: server.py seed
-- returns: count
DELETE FROM categories
