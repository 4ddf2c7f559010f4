-- Begin a change of a cart that is there: lock its row, and count its version up. The version is what comes back as the
-- id; 0 for an unknown cart, and for one that belongs to another account.
-- used by: DELETE /api/cart, POST /api/orders
-- returns: id
-- changes: carts
-- params:
--   session_id  whose cart
--   user_id     the account that asks, or NULL
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts), user_id=1
-- sample: session_id=(SELECT session_id FROM carts WHERE user_id > 0 ORDER BY user_id DESC LIMIT 1),
--   user_id=(SELECT MAX(user_id) FROM carts)
-- sample: session_id=(SELECT session_id FROM carts WHERE user_id > 0 ORDER BY user_id DESC LIMIT 1), user_id=0
-- index: carts PRIMARY
-- reads: at most 5
-- plan: the primary key
UPDATE carts
SET version = LAST_INSERT_ID(version + 1)
WHERE session_id = %(session_id)s
  AND (user_id IS NULL OR user_id <=> %(user_id)s)
