-- Forget the words of all names, before the catalogue is replaced.
-- used by: server.py seed
-- returns: count
-- changes: product_words
-- allow: full scan (all of them go)
DELETE FROM product_words
