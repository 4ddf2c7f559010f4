-- Wait until nobody else imports, and keep others from it until the transaction ends.
-- used by: POST /api/products/import, server.py seed
-- returns: one
-- plan: primary key
SELECT id
FROM import_parts
WHERE id = 1
FOR UPDATE
