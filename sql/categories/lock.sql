-- Lock one category until the transaction ends: until then nobody else changes it or puts a product into it.
-- used by: PUT and DELETE /api/categories/{id}
-- returns: one
-- params:
--   id
-- sample: id=(SELECT MIN(id) FROM categories)
-- plan: primary key
SELECT id, name, description
FROM categories
WHERE id = %(id)s
FOR UPDATE
