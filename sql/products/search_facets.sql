-- Products on sale that have every word, by category: how many are within these prices, and the range of the prices of all.
-- used by: GET /api/products?search=…&facets=true
-- returns: many
-- params:  NULL means "do not filter on this"
--   min_price    inclusive; counts only
--   max_price    inclusive; counts only
--   in_stock     1: only what is in stock
--   words        each as +word*, for boolean mode: letters, numbers, marks and _ only (other characters are its operators)
--   in_text      JSON array of further words, too common for the index to help with, as LIKE has them: letters,
--                marks and numbers, ss for ß, an underscore as \_; they are looked for in the text of the hits. NULL: none
-- sample: words='+wireless*'
-- sample: words='+wireless*', in_text='["case"]',
--   min_price=20, max_price=80
-- allow: temporary table on products (a row for each category of the hits)
-- allow: filesort on products in MariaDB (the same rows)
-- allow: filesort on derived (the same)
-- cache: as much work as the search itself
-- plan: ft_products_words
SELECT f.category_id, c.name AS category_name, f.products, f.min_price, f.max_price
FROM (
    SELECT
        category_id,
        COUNT(CASE WHEN (%(min_price)s IS NULL OR price >= %(min_price)s)
                    AND (%(max_price)s IS NULL OR price <= %(max_price)s) THEN 1 END) AS products,
        MIN(price) AS min_price,
        MAX(price) AS max_price
    FROM products
    WHERE is_active = 1
      AND MATCH (name, description) AGAINST (%(words)s IN BOOLEAN MODE)
      AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
      AND (%(in_text)s IS NULL OR NOT EXISTS (
          SELECT 1
          FROM JSON_TABLE(%(in_text)s, '$[*]' COLUMNS (word VARCHAR(120) PATH '$')) AS w
          WHERE REPLACE(REPLACE(CONCAT_WS(' ', name, description), 'ß', 'ss'), 'ẞ', 'ss')
                NOT LIKE CONCAT('%%', w.word, '%%') COLLATE utf8mb4_unicode_520_ci
             OR CONCAT(' ', REGEXP_REPLACE(
                    REPLACE(REPLACE(CONCAT_WS(' ', name, description), 'ß', 'ss'), 'ẞ', 'ss'), '[^\\p{L}\\p{M}\\p{N}_]+\\p{M}*', ' '
                )) NOT LIKE CONCAT('%% ', w.word, '%%') COLLATE utf8mb4_unicode_520_ci
      ))
    GROUP BY category_id
) AS f
LEFT JOIN categories AS c ON c.id = f.category_id
ORDER BY f.products DESC, f.category_id
