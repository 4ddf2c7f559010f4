-- The one of these words that a name has; of several, the one that the newest product has.
-- used by: GET /api/products/suggest
-- returns: one
-- replica: ok
-- columns: word VARCHAR(40), newest_id INT NULL
-- params:
--   words  JSON array: some hundred spellings of one word
-- sample: words='["lamp", "lama", "lam", "damp"]'
-- allow: full scan on document (the spellings)
-- allow: temporary table and filesort on document (those that are known: few)
-- plan: a look-up in known_words for each spelling, and for those that are known one in product_words, as in
--       products/suggest_words
SELECT
    k.word,
    (
        SELECT w.product_id
        FROM product_words AS w
        WHERE w.word = k.word
        ORDER BY w.word DESC, w.product_id DESC
        LIMIT 1
    ) AS newest_id
FROM JSON_TABLE(%(words)s, '$[*]' COLUMNS (word VARCHAR(41) PATH '$')) AS j
STRAIGHT_JOIN known_words AS k FORCE INDEX (PRIMARY) ON k.word = j.word COLLATE utf8mb4_unicode_520_ci
HAVING newest_id IS NOT NULL
ORDER BY newest_id DESC, k.word
LIMIT 1
