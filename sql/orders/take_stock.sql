-- Take what a cart holds out of the stock, as far as there is enough. Counts the lines that were taken: the order is refused
-- unless that is all of them.
-- used by: POST /api/orders, after orders/lock_cart
-- returns: count
-- changes: products
-- params:
--   session_id  whose cart
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts)
-- index: cart_items uq_cart_items_session_product; products PRIMARY
-- plan: uq_cart_items_session_product, products by primary key
UPDATE cart_items AS i
JOIN products AS p ON p.id = i.product_id
SET p.stock_quantity = p.stock_quantity - i.quantity
WHERE i.session_id = %(session_id)s
  AND p.is_active = 1
  AND p.stock_quantity >= i.quantity
