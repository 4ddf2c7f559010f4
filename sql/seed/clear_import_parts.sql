-- Remove the parts that an interrupted import has left: they belong to the old catalogue.
-- used by: server.py seed
-- returns: count
-- changes: import_parts
DELETE FROM import_parts
WHERE id > 1
