-- The id behind those of all orders.
-- used by: server.py seed
-- returns: one
-- plan: primary key, its last entry
SELECT COALESCE(MAX(id), 0) + 1 AS id
FROM orders
