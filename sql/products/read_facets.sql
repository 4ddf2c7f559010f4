-- Of the newest products on sale, those that have every word, by category: how many are within these prices, and the
-- range of the prices of all.
-- used by: GET /api/products?search=…&facets=true
-- returns: many
-- params:  NULL means "do not filter on this"
--   min_price    inclusive; counts only
--   max_price    inclusive; counts only
--   in_stock     1: only what is in stock
--   in_text      JSON array of the beginnings of words, as LIKE has them: letters, marks and numbers, ss for ß,
--                an underscore as \_
--   read         how many products are read through
-- sample: in_text='["small"]', read=3000
-- sample: in_text='["small", "case"]', read=3000, min_price=20
-- allow: temporary table and filesort on derived (the products read, then a row for each category)
-- cache: as products/count
-- plan: as products/read_count
SELECT f.category_id, c.name AS category_name, f.products, f.min_price, f.max_price
FROM (
    SELECT
        t.category_id,
        COUNT(CASE WHEN (%(min_price)s IS NULL OR t.price >= %(min_price)s)
                    AND (%(max_price)s IS NULL OR t.price <= %(max_price)s) THEN 1 END) AS products,
        MIN(t.price) AS min_price,
        MAX(t.price) AS max_price
    FROM (
        SELECT id
        FROM products
        WHERE is_active = 1
          AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
        ORDER BY created_at DESC, id DESC
        LIMIT %(read)s
    ) AS seen
    JOIN products AS t ON t.id = seen.id
    WHERE NOT EXISTS (
        SELECT 1
        FROM JSON_TABLE(%(in_text)s, '$[*]' COLUMNS (word VARCHAR(120) PATH '$')) AS w
        WHERE REPLACE(REPLACE(CONCAT_WS(' ', t.name, t.description), 'ß', 'ss'), 'ẞ', 'ss')
              NOT LIKE CONCAT('%%', w.word, '%%') COLLATE utf8mb4_unicode_520_ci
           OR CONCAT(' ', REGEXP_REPLACE(
                  REPLACE(REPLACE(CONCAT_WS(' ', t.name, t.description), 'ß', 'ss'), 'ẞ', 'ss'), '[^\\p{L}\\p{M}\\p{N}_]+\\p{M}*', ' '
              )) NOT LIKE CONCAT('%% ', w.word, '%%') COLLATE utf8mb4_unicode_520_ci
    )
    GROUP BY t.category_id
) AS f
LEFT JOIN categories AS c ON c.id = f.category_id
ORDER BY f.products DESC, f.category_id
