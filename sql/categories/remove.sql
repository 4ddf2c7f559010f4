-- Remove a category that has no products; categories/lock has locked it.
-- used by: DELETE /api/categories/{id}
-- returns: count
-- changes: categories
-- params:
--   id
-- sample: id=(SELECT MIN(id) FROM categories)
-- sample: id=(SELECT id FROM categories WHERE id NOT IN (SELECT category_id FROM products WHERE category_id > 0)
--   ORDER BY id DESC LIMIT 1)
-- index: categories PRIMARY
-- plan: primary key
DELETE FROM categories
WHERE id = %(id)s
