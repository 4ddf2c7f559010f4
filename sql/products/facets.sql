-- Products on sale by category: how many are within these prices, and the range of the prices of all.
-- used by: GET /api/products?facets=true
-- returns: many
-- replica: ok
-- columns: category_id INT NULL, category_name VARCHAR(100) NULL, products BIGINT, min_price DECIMAL(10,2) NULL,
--   max_price DECIMAL(10,2) NULL
-- params:  NULL means "do not filter on this"
--   min_price    inclusive; counts only
--   max_price    inclusive; counts only
--   in_stock     1: only what is in stock
-- sample:
-- sample: min_price=20, max_price=80
-- sample: min_price=20, max_price=80, in_stock=1
-- allow: full scan on products (every product is counted; the rows are cached)
-- allow: filesort on derived (a row for each category)
-- index: categories PRIMARY; products ix_products_category_price
-- cache: as products/count
-- plan: ix_products_category_price, which covers it and has each category's products together. FORCE INDEX: both
--       servers would take ix_products_price, sort by category, and need half as long again.
SELECT f.category_id, c.name AS category_name, f.products, f.min_price, f.max_price
FROM (
    SELECT
        category_id,
        COUNT(CASE WHEN (%(min_price)s IS NULL OR price >= %(min_price)s)
                    AND (%(max_price)s IS NULL OR price <= %(max_price)s) THEN 1 END) AS products,
        MIN(price) AS min_price,
        MAX(price) AS max_price
    FROM products FORCE INDEX (ix_products_category_price)
    WHERE is_active = 1
      AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
    GROUP BY category_id
) AS f
LEFT JOIN categories AS c ON c.id = f.category_id
ORDER BY f.products DESC, f.category_id
