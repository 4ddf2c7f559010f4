-- Remove a product from a cart. Counts 0 if it was not in the cart.
-- used by: DELETE /api/cart/items/{product_id}
-- returns: count
-- changes: cart_items
-- params:
--   session_id  whose cart
--   product_id  which line
-- sample:
--   session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts),
--   product_id=(SELECT product_id FROM cart_items ORDER BY session_id DESC, product_id LIMIT 1)
-- index: cart_items fk_cart_items_product uq_cart_items_session_product
-- plan: uq_cart_items_session_product
DELETE FROM cart_items
WHERE session_id = %(session_id)s
  AND product_id = %(product_id)s
