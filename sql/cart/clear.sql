-- Empty a cart.
-- used by: DELETE /api/cart, POST /api/orders
-- returns: count
-- params:
--   session_id  whose cart
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts)
-- plan: uq_cart_items_session_product
DELETE FROM cart_items
WHERE session_id = %(session_id)s
