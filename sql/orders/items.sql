-- The lines of an order.
-- used by: GET /api/orders/{number}
-- returns: many
-- columns: product_id INT, name VARCHAR(255), unit_price DECIMAL(10,2), quantity INT, line_total DECIMAL(20,2)
-- params:
--   id  the order
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM orders)
-- index: order_items PRIMARY
-- plan: primary key
SELECT i.product_id, i.name, i.unit_price, i.quantity, i.unit_price * i.quantity AS line_total
FROM order_items AS i
WHERE i.order_id = %(id)s
ORDER BY i.product_id
