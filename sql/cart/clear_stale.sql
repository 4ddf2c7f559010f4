-- Remove the lines of a cart that nobody has changed for long. cart/lock has locked them.
-- used by: server.py purge
-- returns: count
-- params:
--   session_id  whose cart
--   age         seconds
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM cart_items), age=2592000
-- plan: uq_cart_items_session_product
DELETE FROM cart_items
WHERE session_id = %(session_id)s
  AND updated_at <= CURRENT_TIMESTAMP - INTERVAL %(age)s SECOND
