-- Orders that are over, the longest first.
-- used by: server.py chores
-- returns: many
-- params:
--   limit
-- sample: limit=50
-- plan: ix_orders_expires
SELECT o.number
FROM orders AS o
WHERE o.expires_at <= CURRENT_TIMESTAMP
ORDER BY o.expires_at, o.id
LIMIT %(limit)s
