-- Words of products that are not on sale, or not there: suggestions count them. What to do: docs/operating.md says how
-- product_words is made anew.
-- used by: server.py check --data
-- returns: many
-- columns: word VARCHAR(40), product_id INT
-- allow: full scan on product_words (a look through all of them)
-- plan: primary keys
SELECT k.word, k.product_id
FROM product_words AS k
LEFT JOIN products AS p ON p.id = k.product_id AND p.is_active = 1
WHERE p.id IS NULL
ORDER BY k.word, k.product_id
LIMIT 1001
