-- What happened to an order after it was placed, the oldest first.
-- used by: GET /api/orders/{number}
-- returns: many
-- columns: at TIMESTAMP, what VARCHAR(20), by_whom VARCHAR(10), amount DECIMAL(22,2) NULL
-- params:
--   id  the order
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM orders)
-- index: order_history ix_order_history_order
-- plan: ix_order_history_order
SELECT h.at, h.what, h.by_whom, h.amount
FROM order_history AS h
WHERE h.order_id = %(id)s
ORDER BY h.id
