-- A product of this category, on sale or withdrawn; no row if it has none.
-- used by: DELETE /api/categories/{id}
-- returns: one
-- columns: id INT
-- params:
--   id  of the category; locked by categories/lock
-- sample: id=(SELECT MIN(id) FROM categories)
-- index: products ix_products_category_price
-- reads: at most 5
-- plan: ix_products_category_price; all that begin with category_id are as good, and servers waver between them
SELECT id
FROM products FORCE INDEX (ix_products_category_price)
WHERE category_id = %(id)s
LIMIT 1
