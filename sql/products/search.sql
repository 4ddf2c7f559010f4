-- Products on sale that have every word, the most relevant first; one page.
-- used by: GET /api/products?search=…
-- returns: many
-- params:  NULL means "do not filter on this"
--   category_ids  any of these; (0): do not filter on this
--   min_price    inclusive
--   max_price    inclusive
--   in_stock     1: only what is in stock
--   words        each as +word*, for boolean mode: letters, numbers, marks and _ only (other characters are its operators)
--   in_text      JSON array of further words, too common for the index to help with, as LIKE has them: letters,
--                marks and numbers, ss for ß, an underscore as \_; they are looked for in the text of the hits. NULL: none
--   newest_id    leave out newer products: each one moves all relevances a little. So pages by relevance stay with the
--                products of the first page, and skip by offset
--   limit        rows on the page
--   offset       rows to skip
-- sample: words='+wireless*', limit=21, offset=0
-- sample: words='+wireless*', in_text='["case"]', limit=21, offset=0, newest_id=900000,
--   category_ids=(SELECT MIN(category_id) FROM products), min_price=20, max_price=80
-- allow: filesort on products (the hits)
-- allow: temporary table on products in MariaDB (the same hits)
-- allow: filesort on derived (the rows of one page)
-- plan: ft_products_words finds the hits; the page's rows are joined to them afterwards. A file of its own (and so have
--       the other orders): what could sort in any order takes a fifth longer. The hits are counted by
--       products/search_count: COUNT(*) OVER () here takes longer than both together.
-- note: which collation the words of a JSON document have depends on the server's version (in MariaDB 10.11.18 they
--       could not be compared with a product's); COLLATE gives them the products' own.
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, c.name AS category_name,
    p.stock_quantity, p.is_active, p.created_at, p.updated_at,
    (SELECT MAX(id) FROM products) AS newest_id
FROM (
    SELECT
        id,
        ROUND(MATCH (name, description) AGAINST (%(words)s IN BOOLEAN MODE), 4) AS relevance
    FROM products
    WHERE is_active = 1
      AND MATCH (name, description) AGAINST (%(words)s IN BOOLEAN MODE)
      AND (%(newest_id)s IS NULL OR id <= %(newest_id)s)
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
    ORDER BY relevance DESC, id DESC
    LIMIT %(limit)s OFFSET %(offset)s
) AS page
JOIN products AS p ON p.id = page.id
LEFT JOIN categories AS c ON c.id = p.category_id
ORDER BY page.relevance DESC, page.id DESC
