-- Wait until nobody else imports. Until the transaction ends, other imports wait.
-- used by: POST /api/products/import, server.py seed
-- returns: one
-- columns: id BIGINT
-- index: import_parts PRIMARY
-- plan: primary key
SELECT id
FROM import_parts
WHERE id = 1
FOR UPDATE
