-- Of the newest products on sale: how many were read through, and how many of them have every word.
-- used by: GET /api/products?search=…
-- returns: one
-- params:  NULL means "do not filter on this"
--   category_ids  any of these; (0): do not filter on this
--   min_price    inclusive
--   max_price    inclusive
--   in_stock     1: only what is in stock
--   in_text      JSON array of the beginnings of words, as LIKE has them: letters, marks and numbers, ss for ß,
--                an underscore as \_
--   read         how many products are read through
-- sample: in_text='["small"]', read=3000
-- sample: in_text='["small", "case"]', read=3000, category_ids=(SELECT MIN(category_id) FROM products), min_price=20
-- cache: as products/count
-- plan: ix_products_newest or ix_products_category_newest for the ids, then the rows by primary key
SELECT
    COUNT(*) AS products_read,
    CAST(COALESCE(SUM(NOT EXISTS (
        SELECT 1
        FROM JSON_TABLE(%(in_text)s, '$[*]' COLUMNS (word VARCHAR(120) PATH '$')) AS w
        WHERE REPLACE(REPLACE(CONCAT_WS(' ', t.name, t.description), 'ß', 'ss'), 'ẞ', 'ss')
              NOT LIKE CONCAT('%%', w.word, '%%') COLLATE utf8mb4_unicode_520_ci
           OR CONCAT(' ', REGEXP_REPLACE(
                  REPLACE(REPLACE(CONCAT_WS(' ', t.name, t.description), 'ß', 'ss'), 'ẞ', 'ss'), '[^\\p{L}\\p{M}\\p{N}_]+\\p{M}*', ' '
              )) NOT LIKE CONCAT('%% ', w.word, '%%') COLLATE utf8mb4_unicode_520_ci
    )), 0) AS SIGNED) AS total
FROM (
    SELECT id
    FROM products
    WHERE is_active = 1
      AND (0 IN %(category_ids)s OR category_id IN %(category_ids)s)
      AND (%(min_price)s IS NULL OR price >= %(min_price)s)
      AND (%(max_price)s IS NULL OR price <= %(max_price)s)
      AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
    ORDER BY created_at DESC, id DESC
    LIMIT %(read)s
) AS seen
JOIN products AS t ON t.id = seen.id
