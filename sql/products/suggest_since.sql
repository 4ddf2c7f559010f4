-- The product behind the newest so many that have a word; no row if fewer have it.
-- used by: GET /api/products/suggest, to bound what is looked at
-- returns: one
-- replica: ok
-- columns: product_id INT
-- params:
--   word  exact
--   read  so many
-- sample: word='lamp', read=500
-- index: product_words PRIMARY
-- plan: the end of the word's range in the primary key of product_words
SELECT product_id
FROM product_words
WHERE word = %(word)s
ORDER BY product_id DESC
LIMIT 1 OFFSET %(read)s
