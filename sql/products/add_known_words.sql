-- Note the words that these products have, and lock those that were noted before until the transaction ends: purge
-- removes none of them meanwhile.
-- note: written from sql/products/words.template: edit that, then python3 server.py check --write-templates
-- used by: POST /api/products, PUT and DELETE /api/products/{id}, POST /api/products/import, server.py seed
-- returns: count
-- changes: known_words
-- params:
--   ids  JSON: [id, …]
-- sample: ids='[1, 2, 3]'
-- sample: ids=(SELECT CONCAT('[', MAX(id), ', ', MAX(id) - 1, ']') FROM products)
-- allow: temporary table and filesort on derived (the words of some names)
-- allow: temporary table and filesort on document (the same)
-- plan: the words of each product's name, as in products/add_words, in one order, so that two who bring the same new
--       ones wait for each other and have no deadlock. Locks of words that are there are shared: nobody waits for them.
INSERT IGNORE INTO known_words (word)
SELECT DISTINCT LEFT(w.word, 40) COLLATE utf8mb4_unicode_520_ci AS word
FROM JSON_TABLE(%(ids)s, '$[*]' COLUMNS (id INT PATH '$')) AS j
STRAIGHT_JOIN products AS p FORCE INDEX (PRIMARY) ON p.id = j.id
JOIN JSON_TABLE(
    CONCAT('["', REPLACE(TRIM(REGEXP_REPLACE(p.name, '[^\\p{L}\\p{M}\\p{N}]+\\p{M}*', ' ')), ' ', '","'), '"]'),
    '$[*]' COLUMNS (word VARCHAR(255) PATH '$')
) AS w
WHERE p.is_active = 1
  AND w.word <> ''
ORDER BY word
