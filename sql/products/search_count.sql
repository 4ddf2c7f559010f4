-- How many products on sale have every word; for a page that is empty and so cannot say.
-- used by: GET /api/products?search=…
-- returns: one
-- params:  NULL means "do not filter on this"
--   category_id  exact
--   min_price    inclusive
--   max_price    inclusive
--   in_stock     1: only what is in stock, 0: only what is not
--   words        each as +word*, for boolean mode: letters, digits and _ only (other characters are its operators)
-- plan: ft_products_words. is_active is not in that index, and must be asked for: MySQL would answer a bare count of
--       hits from the index alone, deleted rows included.
SELECT COUNT(*) AS total
FROM products
WHERE is_active = 1
  AND MATCH (name, description) AGAINST (%(words)s IN BOOLEAN MODE)
  AND (%(category_id)s IS NULL OR category_id = %(category_id)s)
  AND (%(min_price)s IS NULL OR price >= %(min_price)s)
  AND (%(max_price)s IS NULL OR price <= %(max_price)s)
  AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
