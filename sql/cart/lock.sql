-- Lock the lines of a cart; for each line, how long nobody has changed it.
-- used by: server.py purge, POST /api/cart/items
-- returns: many
-- params:
--   session_id  whose cart
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM cart_items)
-- plan: uq_cart_items_session_product
SELECT id, TIMESTAMPDIFF(SECOND, updated_at, CURRENT_TIMESTAMP) AS untouched_for
FROM cart_items
WHERE session_id = %(session_id)s
FOR UPDATE
