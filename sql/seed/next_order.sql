-- The id behind those of all orders.
-- used by: server.py seed
-- returns: one
-- columns: id BIGINT
-- plan: primary key, its last entry
SELECT COALESCE(MAX(id), 0) + 1 AS id
FROM orders
