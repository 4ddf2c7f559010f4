-- How many pieces of each line of an order can still come back into the stock. The order is locked.
-- used by: POST /api/orders/{number}/cancel, POST /api/orders/{number}/refunds, server.py chores
-- returns: many
-- columns: product_id INT, quantity BIGINT
-- params:
--   id  the order
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM orders)
-- index: order_items PRIMARY
-- plan: primary key
SELECT i.product_id, i.quantity - i.restocked AS quantity
FROM order_items AS i
WHERE i.order_id = %(id)s
  AND i.quantity > i.restocked
ORDER BY i.product_id
