-- Copy the lines of a cart into an order, with the names and prices of this moment: nothing changes them any more.
-- used by: POST /api/orders, after orders/add
-- returns: count
-- changes: order_items
-- params:
--   number      the order
--   session_id  whose cart
-- sample: number=(SELECT COALESCE(MAX(number), '00000-00000') FROM orders),
--   session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts)
-- index: cart_items uq_cart_items_session_product; orders uq_orders_number; products PRIMARY
-- plan: uq_orders_number, uq_cart_items_session_product, products by primary key
INSERT INTO order_items (order_id, product_id, name, unit_price, quantity)
SELECT o.id, p.id, p.name, p.price, i.quantity
FROM orders AS o
JOIN cart_items AS i ON i.session_id = %(session_id)s
JOIN products AS p ON p.id = i.product_id
WHERE o.number = %(number)s
