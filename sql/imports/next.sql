-- Lock the first part that is not yet stored, so that nobody stores it twice, even if a worker died meanwhile.
-- used by: POST /api/products/import
-- returns: one
-- columns: id BIGINT, user_id INT, user_name VARCHAR(50), document MEDIUMTEXT
-- index: import_parts PRIMARY
-- plan: primary key
SELECT id, user_id, user_name, document
FROM import_parts
WHERE id > 1
ORDER BY id
LIMIT 1
FOR UPDATE
