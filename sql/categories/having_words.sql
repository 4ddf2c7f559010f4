-- The categories whose names have a word: a word in a category's name counts as text of its products.
-- note: written from sql/products/search.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/products?search=…
-- returns: many
-- replica: ok
-- columns: word BIGINT NULL, id INT
-- params:
--   in_text  as in products/read_ids
-- sample: in_text='[[1, null, "% audio%"], [2, null, "% lamps%"], [2, null, "% lamp %"]]'
-- allow: full scan, temporary table and filesort on c (there are few categories)
-- allow: full scan, temporary table and filesort on document (the words)
-- cache: asked for by every search
-- note: which collation the words of a JSON document have depends on the server's version (in MariaDB 10.11.18 they
--       could not be compared with a product's); COLLATE gives them the products' own.
SELECT DISTINCT w.word, c.id
FROM categories AS c
JOIN JSON_TABLE(%(in_text)s, '$[*]' COLUMNS (word BIGINT PATH '$[0]', pattern VARCHAR(255) PATH '$[2]')) AS w
  ON CONCAT(' ', REGEXP_REPLACE(
         REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(CONCAT(' ', c.name, ' '),
             'ß', 'ss'), 'ẞ', 'ss'), 'æ', 'ae'), 'Æ', 'ae'), 'œ', 'oe'), 'Œ', 'oe'),
         '_*[^\\p{L}\\p{M}\\p{N}_]+[\\p{M}_]*', ' '
     ), ' ') LIKE w.pattern COLLATE utf8mb4_unicode_520_ci
ORDER BY w.word, c.id
