-- Remove a category that has no products; categories/lock has locked it.
-- used by: DELETE /api/categories/{id}
-- returns: count
-- params:
--   id
-- sample: id=(SELECT MIN(id) FROM categories)
-- plan: primary key
DELETE FROM categories
WHERE id = %(id)s
