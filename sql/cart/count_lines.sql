-- How many lines a cart has, those of transactions that are not yet done included: waits for them.
-- used by: POST /api/cart/items, for a cart that is nearly full
-- returns: many
-- params:
--   session_id  whose cart
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM cart_items)
-- plan: uq_cart_items_session_product
SELECT i.id
FROM cart_items AS i
WHERE i.session_id = %(session_id)s
FOR UPDATE
