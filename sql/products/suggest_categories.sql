-- Categories whose names have words that begin with these texts, by name.
-- note: written from sql/products/words.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/products/suggest
-- returns: many
-- replica: ok
-- columns: id INT, name VARCHAR(100)
-- params:
--   in_name  JSON array of the beginnings of words: letters, marks and numbers, ss for ß. NULL: all categories
--   likely   the longest of those, which is looked for before the others are. NULL: all categories
--   limit    at most so many
-- sample: in_name='["kit"]', likely='kit', limit=10
-- sample: limit=500
-- allow: full scan on categories (there are few; in an index)
-- allow: full scan on document (the words of one request)
-- plan: uq_categories_name, whole
SELECT c.id, c.name
FROM categories AS c FORCE INDEX (uq_categories_name)
WHERE (%(likely)s IS NULL
       OR REPLACE(REPLACE(c.name, 'ß', 'ss'), 'ẞ', 'ss') LIKE CONCAT('%%', %(likely)s, '%%') COLLATE utf8mb4_unicode_520_ci)
  AND (%(in_name)s IS NULL OR NOT EXISTS (
      SELECT 1
      FROM JSON_TABLE(%(in_name)s, '$[*]' COLUMNS (word VARCHAR(120) PATH '$')) AS w
      WHERE CONCAT(' ', REGEXP_REPLACE(
                REPLACE(REPLACE(c.name, 'ß', 'ss'), 'ẞ', 'ss'), '[^\\p{L}\\p{M}\\p{N}]+\\p{M}*', ' '
            )) NOT LIKE CONCAT('%% ', w.word, '%%') COLLATE utf8mb4_unicode_520_ci
  ))
ORDER BY c.name
LIMIT %(limit)s
