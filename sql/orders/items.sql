-- The lines of an order.
-- used by: GET /api/orders/{number}
-- returns: many
-- params:
--   id  the order
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM orders)
-- plan: primary key
SELECT i.product_id, i.name, i.unit_price, i.quantity, i.unit_price * i.quantity AS line_total
FROM order_items AS i
WHERE i.order_id = %(id)s
ORDER BY i.product_id
