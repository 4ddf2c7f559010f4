-- All categories by name, with the number of products on sale in each (0 included).
-- used by: GET /api/categories
-- returns: many
-- replica: ok
-- columns: id INT NULL, name VARCHAR(100) NULL, description TEXT NULL, product_count BIGINT NULL,
--   created_at TIMESTAMP NULL
-- allow: full scan and filesort on categories (there are few)
-- index: products ix_products_category_price
-- cache: counts all products
-- plan: ix_products_category_price covers each count; about 130 ms for a million products. FORCE INDEX: both servers
--       would take ix_products_category_name, which is twice as large.
SELECT
    c.id, c.name, c.description,
    (
        SELECT COUNT(*)
        FROM products AS p FORCE INDEX (ix_products_category_price)
        WHERE p.category_id = c.id AND p.is_active = 1
    ) AS product_count,
    c.created_at
FROM categories AS c
ORDER BY c.name, c.id
