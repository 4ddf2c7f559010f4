-- Lock one category until the transaction ends: until then nobody else changes it or puts a product into it.
-- used by: PUT and DELETE /api/categories/{id}
-- returns: one
-- columns: id INT, name VARCHAR(100), description TEXT NULL
-- params:
--   id
-- sample: id=(SELECT MIN(id) FROM categories)
-- index: categories PRIMARY
-- reads: at most 5
-- plan: primary key
SELECT id, name, description
FROM categories
WHERE id = %(id)s
FOR UPDATE
