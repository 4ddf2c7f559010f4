-- What happened to an order after it was placed, the oldest first.
-- used by: GET /api/orders/{number}
-- returns: many
-- params:
--   id  the order
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM orders)
-- plan: ix_order_history_order
SELECT h.at, h.what, h.by_whom, h.amount
FROM order_history AS h
WHERE h.order_id = %(id)s
ORDER BY h.id
