-- Hold one product until the transaction ends: nobody else changes it meanwhile. Its columns are read afterwards
-- (products/get_any), because reading them here would lock the category as well.
-- used by: PUT and DELETE /api/products/{id}
-- returns: one
-- params:
--   id
-- sample: id=(SELECT MIN(id) FROM products)
-- plan: primary key
SELECT id
FROM products
WHERE id = %(id)s
FOR UPDATE
