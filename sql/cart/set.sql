-- Set the quantity of a line, if the stock suffices and the product is on sale.
-- Counts 1 if it changed; 0 if there is no such line, the stock is too small, or the quantity was the same already.
-- used by: PUT /api/cart/items/{product_id}, after cart/lock
-- returns: count
-- changes: cart_items
-- params:
--   session_id  whose cart
--   product_id  which line
--   quantity    how many from now on
-- sample:
--   session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts),
--   product_id=(SELECT product_id FROM cart_items ORDER BY session_id DESC, product_id LIMIT 1), quantity=2
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts), quantity=5,
--   product_id=(SELECT product_id FROM cart_items ORDER BY session_id DESC, product_id LIMIT 1)
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts), quantity=1,
--   product_id=(SELECT i.product_id FROM cart_items AS i JOIN products AS p ON p.id = i.product_id
--     WHERE p.is_active = 0 ORDER BY i.session_id DESC LIMIT 1)
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts), quantity=1,
--   product_id=(SELECT i.product_id FROM cart_items AS i JOIN products AS p ON p.id = i.product_id
--     WHERE p.stock_quantity = 0 ORDER BY i.session_id DESC LIMIT 1)
-- index: cart_items uq_cart_items_session_product; products PRIMARY
-- plan: uq_cart_items_session_product, products by primary key
UPDATE cart_items AS i
JOIN products AS p ON p.id = i.product_id
SET i.quantity = %(quantity)s
WHERE i.session_id = %(session_id)s
  AND i.product_id = %(product_id)s
  AND p.is_active = 1
  AND p.stock_quantity >= %(quantity)s
