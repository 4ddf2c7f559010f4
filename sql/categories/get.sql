-- One category.
-- used by: GET /api/categories/{id}
-- returns: one
-- replica: ok
-- columns: id INT, name VARCHAR(100), description TEXT NULL, created_at TIMESTAMP
-- params:
--   id
-- sample: id=(SELECT MIN(id) FROM categories)
-- index: categories PRIMARY
-- reads: at most 5
-- plan: primary key; categories/count counts its products: that takes longer, and is cached for some seconds
SELECT c.id, c.name, c.description, c.created_at
FROM categories AS c
WHERE c.id = %(id)s
