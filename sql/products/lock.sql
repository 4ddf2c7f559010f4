-- Lock one product until the transaction ends: until then nobody else changes it. products/get_any reads its columns
-- afterwards, because reading the category's name here would lock the category as well.
-- used by: PUT and DELETE /api/products/{id}
-- returns: one
-- columns: id INT
-- params:
--   id
-- sample: id=(SELECT MIN(id) FROM products)
-- index: products PRIMARY
-- reads: at most 5
-- plan: primary key
SELECT id
FROM products
WHERE id = %(id)s
FOR UPDATE
