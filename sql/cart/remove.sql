-- Take a product out of a cart. Counts 0 where it was not in it.
-- used by: DELETE /api/cart/items/{product_id}
-- returns: count
-- params:
--   session_id  whose cart
--   product_id  which line
-- plan: uq_cart_items_session_product
DELETE FROM cart_items
WHERE session_id = %(session_id)s
  AND product_id = %(product_id)s
