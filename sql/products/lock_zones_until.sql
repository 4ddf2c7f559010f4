-- Which products the zones of words are known of: of all up to this one. Locks it, so that one after the other adds more.
-- used by: the chores, server.py purge, server.py seed
-- returns: one
-- columns: product_id INT
-- index: word_zones_until PRIMARY
-- plan: primary key
SELECT product_id
FROM word_zones_until
WHERE id = 1
FOR UPDATE
