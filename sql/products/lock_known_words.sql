-- Lock the next words of known_words: who adds a product with one of them waits until the transaction ends.
-- used by: server.py purge, and the chores
-- returns: many
-- columns: word VARCHAR(40)
-- params:
--   after  the last word of the step before, or ''
--   limit  at most so many words
-- sample: after='', limit=500
-- sample: after='lamp', limit=500
-- index: known_words PRIMARY
-- plan: a range of the primary key, in its order
SELECT word
FROM known_words
WHERE word > %(after)s
ORDER BY word
LIMIT %(limit)s
FOR UPDATE
