-- Empty a cart.
-- used by: DELETE /api/cart, POST /api/orders
-- returns: count
-- changes: cart_items
-- params:
--   session_id  whose cart
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts)
-- index: cart_items uq_cart_items_session_product
-- plan: uq_cart_items_session_product
DELETE FROM cart_items
WHERE session_id = %(session_id)s
