-- The session id of an account's own cart.
-- used by: POST /api/cart, POST /api/cart/merge, POST /api/users/login, POST /api/orders
-- returns: one
-- columns: session_id VARCHAR(255)
-- params:
--   user_id  the account
-- sample: user_id=(SELECT COALESCE(MAX(user_id), 1) FROM carts)
-- index: carts uq_carts_user
-- reads: at most 5
-- plan: uq_carts_user
SELECT session_id
FROM carts
WHERE user_id = %(user_id)s
