-- Remove all categories, before the catalogue is replaced.
-- used by: server.py seed
-- returns: count
-- changes: categories
-- allow: full scan (all of them go)
DELETE FROM categories
