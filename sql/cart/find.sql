-- Which product a line of this cart holds, by the line's own id.
-- used by: PUT and DELETE /api/cart/{session_id}/items/{item_id}
-- returns: one
-- columns: product_id INT
-- params:
--   session_id  whose cart; a line of another cart is not found
--   id          the line
-- sample:
--   session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts),
--   id=(SELECT id FROM cart_items ORDER BY session_id DESC, product_id LIMIT 1)
-- index: cart_items PRIMARY
-- reads: at most 5
-- plan: primary key
SELECT i.product_id
FROM cart_items AS i
WHERE i.id = %(id)s
  AND i.session_id = %(session_id)s
