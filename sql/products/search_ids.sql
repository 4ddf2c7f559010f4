-- The ids of the products on sale that have every word, in no order, where few have.
-- note: written from sql/products/search.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/products?search=…
-- returns: one
-- replica: ok
-- columns: ids JSON NULL
-- params:  NULL means "do not filter on this"
--   category_ids     any of these; (0): do not filter on this
--   min_price        inclusive
--   max_price        inclusive
--   in_stock         1: only what is in stock
--   words            for boolean mode, each as +word* or +(word* form): letters, numbers, marks and _ only (other
--                    characters are its operators)
--   in_text          as in products/read_ids, like the next four: further words, looked for in the text of the hits;
--                    NULL: none
--   all_words
--   stem
--   stem_as_one
--   stem_categories
--   limit            ids at the most; if so many come, there may be more
-- sample: words='+wireless*', limit=5000
-- sample: words='+(sneakers* sneaker)',
--   in_text='[[1, null, "% lamps%", "%lamp%"], [1, 5], [2, null, "% case%", "%case%"]]',
--   all_words=3, stem='%case%', limit=5000,
--   category_ids=(SELECT MIN(category_id) FROM products), min_price=20, max_price=80
-- cache: as products/count
-- plan: ft_products_words: 0.3 µs for each product that has one of the words, and 3 µs for each that has all of them.
--       is_active is not in that index, and must be asked for: MySQL would answer from the index alone, deleted rows
--       included.
-- note: which collation the words of a JSON document have depends on the server's version (in MariaDB 10.11.18 they
--       could not be compared with a product's); COLLATE gives them the products' own.
SELECT JSON_ARRAYAGG(id) AS ids
FROM (
    SELECT t.id
    FROM products AS t
    WHERE t.is_active = 1
      AND MATCH (t.name, t.description) AGAINST (%(words)s IN BOOLEAN MODE)
      AND (0 IN %(category_ids)s OR t.category_id IN %(category_ids)s)
      AND (%(min_price)s IS NULL OR t.price >= %(min_price)s)
      AND (%(max_price)s IS NULL OR t.price <= %(max_price)s)
      AND (%(in_stock)s IS NULL OR t.in_stock = %(in_stock)s)
      AND (%(in_text)s IS NULL OR (
          (FIND_IN_SET(t.category_id, %(stem_categories)s) OR CONCAT_WS(' ', t.name, t.description) LIKE %(stem)s
               OR CONCAT_WS(' ', t.name, t.description) LIKE %(stem_as_one)s)
          AND (
              SELECT BIT_OR(w.word)
              FROM JSON_TABLE(%(in_text)s, '$[*]' COLUMNS (
                  word BIGINT PATH '$[0]', category_id INT PATH '$[1]', pattern VARCHAR(255) PATH '$[2]',
                  stem VARCHAR(255) PATH '$[3]'
              )) AS w
              WHERE w.category_id = t.category_id
                 OR CONCAT_WS(' ', '', t.name, t.description, '') LIKE w.pattern COLLATE utf8mb4_unicode_520_ci
                 OR (CONCAT_WS(' ', t.name, t.description) LIKE w.stem COLLATE utf8mb4_unicode_520_ci
                     AND CONCAT(' ', REGEXP_REPLACE(
                         REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(CONCAT_WS(' ', '', t.name, t.description, ''),
                             'ß', 'ss'), 'ẞ', 'ss'), 'æ', 'ae'), 'Æ', 'ae'), 'œ', 'oe'), 'Œ', 'oe'),
                         '_*[^\\p{L}\\p{M}\\p{N}_]+[\\p{M}_]*', ' '
                     ), ' ') LIKE w.pattern COLLATE utf8mb4_unicode_520_ci)
          ) = %(all_words)s
      ))
    LIMIT %(limit)s
) AS found
