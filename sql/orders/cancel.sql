-- Cancel an order. Whether it may be was looked at under orders/lock.
-- used by: POST /api/orders/{number}/cancel, server.py chores
-- returns: count
-- changes: orders
-- params:
--   id
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM orders)
-- index: orders PRIMARY
-- plan: primary key
UPDATE orders
SET status = 'canceled', expires_at = NULL
WHERE id = %(id)s
