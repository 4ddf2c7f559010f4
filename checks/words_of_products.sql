-- Products on sale, of the newest 20,000, whose names have words that product_words or known_words do not have: no
-- suggestion finds them. What to do: docs/operating.md says how both tables are made anew.
-- used by: server.py check --data
-- returns: many
-- columns: id INT, word VARCHAR(40) NULL
-- allow: full scan on derived (at most 20,000 products)
-- allow: full scan on document (the words of some products)
-- allow: full scan and temporary table and filesort on products (by primary key, from the end, 20,000 at the most)
-- plan: the words are made as in sql/products/add_words.sql, and looked up by primary key
SELECT DISTINCT p.id, LEFT(w.word, 40) COLLATE utf8mb4_unicode_520_ci AS word
FROM (
    SELECT id, name
    FROM products
    WHERE is_active = 1
    ORDER BY id DESC
    LIMIT 20000
) AS p
JOIN JSON_TABLE(
    CONCAT('["', REPLACE(TRIM(REGEXP_REPLACE(p.name, '[^\\p{L}\\p{M}\\p{N}]+\\p{M}*', ' ')), ' ', '","'), '"]'),
    '$[*]' COLUMNS (word VARCHAR(255) PATH '$')
) AS w
LEFT JOIN product_words AS k ON k.word = LEFT(w.word, 40) COLLATE utf8mb4_unicode_520_ci AND k.product_id = p.id
LEFT JOIN known_words AS n ON n.word = LEFT(w.word, 40) COLLATE utf8mb4_unicode_520_ci
WHERE w.word <> ''
  AND (k.word IS NULL OR n.word IS NULL)
ORDER BY id, word
LIMIT 1001
