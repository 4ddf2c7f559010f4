-- How many products are on sale under these filters.
-- used by: GET /api/products
-- returns: one
-- replica: ok
-- columns: total BIGINT
-- params:  NULL means "do not filter on this"
--   category_id  exact
--   min_price    inclusive
--   max_price    inclusive
--   in_stock     1: only what is in stock
-- sample:
-- sample: category_id=(SELECT MIN(category_id) FROM products)
-- sample: min_price=20, max_price=80
-- sample: category_id=(SELECT MIN(category_id) FROM products), min_price=20, max_price=80, in_stock=1
-- index: products ix_products_category_price ix_products_price
-- cache: counting a million products takes 0.1 s
-- plan: ix_products_price or ix_products_category_price, which cover it. FORCE INDEX: for a range of prices MySQL would
--       take ix_products_newest, and twice as long.
SELECT COUNT(*) AS total
FROM products FORCE INDEX (ix_products_price, ix_products_category_price)
WHERE is_active = 1
  AND (%(category_id)s IS NULL OR category_id = %(category_id)s)
  AND (%(min_price)s IS NULL OR price >= %(min_price)s)
  AND (%(max_price)s IS NULL OR price <= %(max_price)s)
  AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
