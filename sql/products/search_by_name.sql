-- Products on sale that have every word, by name; one page.
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
--   sort         name or -name
--   after_id     the id of the last product seen; the page begins behind it
--   after_name   its name
--   limit        rows on the page
--   offset       rows to skip
-- sample: words='+wireless*', sort='name', limit=21, offset=0
-- sample: words='+wireless*', in_text='["case"]', sort='-name', limit=21, offset=0,
--   category_ids=(SELECT MIN(category_id) FROM products), min_price=20, max_price=80
-- sample: words='+wireless*', sort='name', limit=21, offset=0, after_id=5000, after_name='M'
-- allow: filesort on products (the hits, in either order)
-- allow: filesort on derived (the rows of one page)
-- plan: as products/search_sorted. A file of its own, because the sort keys of names are long, for every hit.
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, c.name AS category_name,
    p.stock_quantity, p.is_active, p.created_at, p.updated_at
FROM (
    SELECT id, name
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
      AND (%(after_id)s IS NULL OR CASE %(sort)s
            WHEN 'name' THEN name > %(after_name)s
                OR (name = %(after_name)s AND id > %(after_id)s)
            WHEN '-name' THEN name < %(after_name)s
                OR (name = %(after_name)s AND id < %(after_id)s)
          END)
    ORDER BY
        CASE WHEN %(sort)s = '-name' THEN name END DESC,
        CASE WHEN %(sort)s = 'name' THEN name END,
        CASE WHEN %(sort)s = '-name' THEN id END DESC,
        id
    LIMIT %(limit)s OFFSET %(offset)s
) AS page
JOIN products AS p ON p.id = page.id
LEFT JOIN categories AS c ON c.id = p.category_id
ORDER BY
    CASE WHEN %(sort)s = '-name' THEN page.name END DESC,
    CASE WHEN %(sort)s = 'name' THEN page.name END,
    CASE WHEN %(sort)s = '-name' THEN page.id END DESC,
    page.id
