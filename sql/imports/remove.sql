-- A part is stored; it is locked by imports/next.
-- used by: POST /api/products/import
-- returns: count
-- params:
--   id
-- sample: id=(SELECT MAX(id) FROM import_parts)
-- plan: primary key
DELETE FROM import_parts
WHERE id = %(id)s
