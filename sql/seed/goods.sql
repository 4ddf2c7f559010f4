-- The first products: what seeded orders are of.
-- used by: server.py seed
-- returns: many
-- columns: id INT, name VARCHAR(255), price DECIMAL(10,2)
-- params:
--   limit  at most so many
-- sample: limit=1000
-- plan: primary key
SELECT id, name, price
FROM products
ORDER BY id
LIMIT %(limit)s
