-- Words of names that begin with a text, by word, each with the newest product that has it. The words of the newest
-- products are those that many products have.
-- used by: GET /api/products/suggest
-- returns: many
-- replica: ok
-- columns: word VARCHAR(40), newest_id INT NULL
-- params:
--   first  the text
--   last   what sorts behind all that begins with it
--   limit  at most so many words
-- sample: first='la', last='laz', limit=100
-- sample: first='c', last='cz', limit=100
-- allow: filesort on derived (at most 1000 words)
-- plan: a range of known_words, and for each word the end of its range in product_words, however many products have it.
--       Without w.word DESC, MySQL would read and sort all of that range. Words that no product has any more are left
--       out, 3 µs each: so the first 1000 words are looked at, and no more.
SELECT
    k.word,
    (
        SELECT w.product_id
        FROM product_words AS w
        WHERE w.word = k.word
        ORDER BY w.word DESC, w.product_id DESC
        LIMIT 1
    ) AS newest_id
FROM (
    SELECT word
    FROM known_words
    WHERE word >= %(first)s
      AND word < %(last)s
    ORDER BY word
    LIMIT 1000
) AS k
HAVING newest_id IS NOT NULL
ORDER BY k.word
LIMIT %(limit)s
