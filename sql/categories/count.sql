-- How many products of a category are on sale.
-- used by: GET /api/categories/{id}
-- returns: one
-- replica: ok
-- columns: product_count BIGINT
-- params:
--   id
-- sample: id=(SELECT MIN(id) FROM categories)
-- index: products ix_products_category_price
-- cache: as products/count
-- plan: ix_products_category_price
SELECT COUNT(*) AS product_count
FROM products
WHERE category_id = %(id)s
  AND is_active = 1
