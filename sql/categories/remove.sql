-- Remove a category that has no products; it is held by categories/lock.
-- used by: DELETE /api/categories/{id}
-- returns: count
-- params:
--   id
-- plan: primary key
DELETE FROM categories
WHERE id = %(id)s
