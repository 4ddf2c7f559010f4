-- The ids of the next products, on sale or not.
-- used by: the chores, server.py purge, server.py seed
-- returns: many
-- columns: id INT
-- params:
--   after_id  the last one before them
--   limit     at most so many
-- sample: after_id=5000, limit=2000
-- index: products PRIMARY
-- reads: at most 2500
-- rows: at most 2000
-- plan: primary key, in its order
SELECT id
FROM products
WHERE id > %(after_id)s
ORDER BY id
LIMIT %(limit)s
