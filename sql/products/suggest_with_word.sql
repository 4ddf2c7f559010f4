-- Names of products on sale that have a word, and words that begin with further texts; the newest first.
-- note: written from sql/products/words.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/products/suggest
-- returns: many
-- replica: ok
-- columns: id INT, name VARCHAR(255)
-- params:
--   word       exact
--   in_name    JSON array of the beginnings of further words: letters, marks and numbers, ss for ß. NULL: none
--   likely     the longest of those, which is looked for before the others are. NULL: none
--   oldest_id  no product that is older than this one is looked at
--   limit      at most so many products
-- sample: word='lamp', oldest_id=0, limit=30
-- sample: word='desk', in_name='["la"]', likely='la', oldest_id=1, limit=30
-- allow: full scan on document (the words of one request)
-- plan: the range of the word in the primary key of product_words, from its end on, and products by primary key
SELECT p.id, p.name
FROM product_words AS w
STRAIGHT_JOIN products AS p ON p.id = w.product_id
WHERE w.word = %(word)s
  AND w.product_id >= %(oldest_id)s
  AND p.is_active = 1
  AND (%(likely)s IS NULL
       OR REPLACE(REPLACE(p.name, 'ß', 'ss'), 'ẞ', 'ss') LIKE CONCAT('%%', %(likely)s, '%%') COLLATE utf8mb4_unicode_520_ci)
  AND (%(in_name)s IS NULL OR NOT EXISTS (
      SELECT 1
      FROM JSON_TABLE(%(in_name)s, '$[*]' COLUMNS (word VARCHAR(120) PATH '$')) AS t
      WHERE CONCAT(' ', REGEXP_REPLACE(
                REPLACE(REPLACE(p.name, 'ß', 'ss'), 'ẞ', 'ss'), '[^\\p{L}\\p{M}\\p{N}]+\\p{M}*', ' '
            )) NOT LIKE CONCAT('%% ', t.word, '%%') COLLATE utf8mb4_unicode_520_ci
  ))
ORDER BY w.product_id DESC
LIMIT %(limit)s
