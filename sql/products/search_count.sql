-- How many products on sale have every word.
-- used by: GET /api/products?search=…
-- returns: one
-- params:  NULL means "do not filter on this"
--   category_ids  any of these; (0): do not filter on this
--   min_price    inclusive
--   max_price    inclusive
--   in_stock     1: only what is in stock
--   words        each as +word*, for boolean mode: letters, numbers, marks and _ only (other characters are its operators)
--   in_text      JSON array of further words, too common for the index to help with, as LIKE has them: letters,
--                marks and numbers, ss for ß, an underscore as \_; they are looked for in the text of the hits. NULL: none
-- sample: words='+wireless*'
-- sample: words='+wireless*', in_text='["case"]',
--   category_ids=(SELECT MIN(category_id) FROM products), min_price=20, max_price=80
-- cache: as much work as the search itself
-- plan: ft_products_words. is_active is not in that index, and must be asked for: MySQL would answer a bare count of
--       hits from the index alone, deleted rows included.
SELECT COUNT(*) AS total
FROM products
WHERE is_active = 1
  AND MATCH (name, description) AGAINST (%(words)s IN BOOLEAN MODE)
  AND (0 IN %(category_ids)s OR category_id IN %(category_ids)s)
  AND (%(min_price)s IS NULL OR price >= %(min_price)s)
  AND (%(max_price)s IS NULL OR price <= %(max_price)s)
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
