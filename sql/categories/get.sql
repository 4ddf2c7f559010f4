-- One category.
-- used by: GET /api/categories/{id}
-- returns: one
-- params:
--   id
-- sample: id=(SELECT MIN(id) FROM categories)
-- plan: primary key; categories/count counts its products: that takes longer, and is cached for some seconds
SELECT c.id, c.name, c.description, c.created_at
FROM categories AS c
WHERE c.id = %(id)s
