-- The first part that is not yet stored, locked: nobody stores it twice, also when a worker that has died was at it.
-- used by: POST /api/products/import
-- returns: one
-- plan: primary key
SELECT id, user_id, user_name, document
FROM import_parts
WHERE id > 1
ORDER BY id
LIMIT 1
FOR UPDATE
