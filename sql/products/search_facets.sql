-- Products that a search has found, by category: how many are within these prices, and the range of the prices of all.
-- used by: GET /api/products?search=…&facets=true
-- returns: many
-- replica: ok
-- columns: category_id INT NULL, category_name VARCHAR(100) NULL, products BIGINT, min_price DECIMAL(10,2) NULL,
--   max_price DECIMAL(10,2) NULL
-- params:  NULL means "do not filter on this"
--   ids        JSON array, from products/search_ids or products/read_ids; at most some thousands
--   min_price  inclusive; counts only
--   max_price  inclusive; counts only
-- sample: ids='[1, 2, 3, 5, 8]', min_price=20, max_price=80
-- allow: temporary table and filesort on document (the hits)
-- allow: filesort on derived (a row for each category)
-- index: categories PRIMARY; products PRIMARY
-- plan: primary key
SELECT f.category_id, c.name AS category_name, f.products, f.min_price, f.max_price
FROM (
    SELECT
        t.category_id,
        COUNT(CASE WHEN (%(min_price)s IS NULL OR t.price >= %(min_price)s)
                    AND (%(max_price)s IS NULL OR t.price <= %(max_price)s) THEN 1 END) AS products,
        MIN(t.price) AS min_price,
        MAX(t.price) AS max_price
    FROM JSON_TABLE(%(ids)s, '$[*]' COLUMNS (id INT PATH '$')) AS found
    JOIN products AS t ON t.id = found.id
    WHERE t.is_active = 1
    GROUP BY t.category_id
) AS f
LEFT JOIN categories AS c ON c.id = f.category_id
ORDER BY f.products DESC, f.category_id
