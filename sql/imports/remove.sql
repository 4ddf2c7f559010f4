-- Remove a part that is stored. imports/next has locked it.
-- used by: POST /api/products/import
-- returns: count
-- changes: import_parts
-- params:
--   id
-- sample: id=(SELECT MAX(id) FROM import_parts)
-- index: import_parts PRIMARY
-- plan: primary key
DELETE FROM import_parts
WHERE id = %(id)s
