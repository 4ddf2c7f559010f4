-- Orders that are over, the longest first; without those whose money is being taken at this moment, however long that takes:
-- they would hold up the others.
-- used by: server.py chores
-- returns: many
-- columns: number CHAR(11)
-- params:
--   limit
-- sample: limit=50
-- index: orders ix_orders_expires; payments uq_payments_won
-- plan: ix_orders_expires, uq_payments_won
SELECT o.number
FROM orders AS o
WHERE o.expires_at <= CURRENT_TIMESTAMP
  AND NOT EXISTS (SELECT 1 FROM payments AS p WHERE p.won_by_order = o.id)
ORDER BY o.expires_at, o.id
LIMIT %(limit)s
