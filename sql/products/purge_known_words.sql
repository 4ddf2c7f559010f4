-- Forget the words of a range that no product on sale has any more. products/lock_known_words has locked them: whoever
-- had noted one (products/add_known_words) has committed, so that the products with it are seen here.
-- used by: server.py purge, and the chores
-- returns: count
-- changes: known_words
-- params:
--   after  the range begins behind this word
--   until  its last word
-- sample: after='', until='lamp'
-- index: known_words PRIMARY; product_words PRIMARY
-- plan: a range of the primary key, and the beginning of each word's range in product_words. LIMIT keeps MySQL from
--       reading all of product_words once instead.
DELETE FROM known_words
WHERE word > %(after)s
  AND word <= %(until)s
  AND (SELECT w.product_id FROM product_words AS w WHERE w.word = known_words.word LIMIT 1) IS NULL
