-- One category.
-- used by: GET /api/categories/{id}
-- returns: one
-- params:
--   id
-- sample: id=(SELECT MIN(id) FROM categories)
-- plan: primary key; its products are counted by categories/count, which takes a while and may be some seconds old
SELECT c.id, c.name, c.description, c.created_at
FROM categories AS c
WHERE c.id = %(id)s
