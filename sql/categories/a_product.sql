-- A product of this category, on sale or withdrawn; no row if it has none.
-- used by: DELETE /api/categories/{id}
-- returns: one
-- params:
--   id  of the category; locked by categories/lock
-- sample: id=(SELECT MIN(id) FROM categories)
-- plan: any index that begins with category_id
SELECT id
FROM products
WHERE category_id = %(id)s
LIMIT 1
