-- Note the words of the names of these products, if they are on sale. Each product is locked, or new.
-- note: written from sql/products/words.template: edit that, then python3 server.py check --write-templates
-- used by: POST /api/products, PUT and DELETE /api/products/{id}, POST /api/products/import, server.py seed
-- returns: count
-- changes: product_words
-- params:
--   ids  JSON: [id, …]
-- sample: ids='[1, 2, 3]'
-- sample: ids=(SELECT CONCAT('[', MAX(id), ', ', MAX(id) - 1, ']') FROM products)
-- plan: the document's rows, products by primary key, the words of each name. What parts words is turned into the commas
--       of a JSON array: letters, marks and numbers need no escape there. IGNORE: a name may have a word twice.
INSERT IGNORE INTO product_words (word, product_id)
SELECT LEFT(w.word, 40), p.id
FROM JSON_TABLE(%(ids)s, '$[*]' COLUMNS (id INT PATH '$')) AS j
STRAIGHT_JOIN products AS p FORCE INDEX (PRIMARY) ON p.id = j.id
JOIN JSON_TABLE(
    CONCAT('["', REPLACE(TRIM(REGEXP_REPLACE(p.name, '[^\\p{L}\\p{M}\\p{N}]+\\p{M}*', ' ')), ' ', '","'), '"]'),
    '$[*]' COLUMNS (word VARCHAR(255) PATH '$')
) AS w
WHERE p.is_active = 1
  AND w.word <> ''
