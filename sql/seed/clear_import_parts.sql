-- Remove what an import that was cut short has left: it belongs to the catalogue that goes.
-- used by: server.py seed
-- returns: count
DELETE FROM import_parts
WHERE id > 1
