-- Forget all words, before the catalogue is replaced.
-- used by: server.py seed
-- returns: count
-- changes: known_words
-- allow: full scan (all of them go)
DELETE FROM known_words
