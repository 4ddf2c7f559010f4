-- Forget the words of the names of these products, as long as they have these names. Each product is locked.
-- note: written from sql/products/words.template: edit that, then python3 server.py check --write-templates
-- used by: PUT and DELETE /api/products/{id}, POST /api/products/import
-- returns: count
-- changes: product_words
-- params:
--   ids  JSON: [id, …]
-- sample: ids='[1, 2, 3]'
-- sample: ids=(SELECT CONCAT('[', MAX(id), ', ', MAX(id) - 1, ']') FROM products)
-- plan: the words are made as in products/add_words; then the whole primary key of product_words, so that no row of
--       another product is locked
DELETE product_words
FROM JSON_TABLE(%(ids)s, '$[*]' COLUMNS (id INT PATH '$')) AS j
STRAIGHT_JOIN products AS p FORCE INDEX (PRIMARY) ON p.id = j.id
STRAIGHT_JOIN JSON_TABLE(
    CONCAT('["', REPLACE(TRIM(REGEXP_REPLACE(p.name, '[^\\p{L}\\p{M}\\p{N}]+\\p{M}*', ' ')), ' ', '","'), '"]'),
    '$[*]' COLUMNS (word VARCHAR(255) PATH '$')
) AS w
STRAIGHT_JOIN product_words
   ON product_words.word = LEFT(w.word, 40) COLLATE utf8mb4_unicode_520_ci
  AND product_words.product_id = p.id
