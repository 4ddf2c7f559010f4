-- Make an account's own cart, empty. Where another request was faster, nothing changes; cart/find_own then finds that one.
-- used by: POST /api/cart, POST /api/cart/merge, POST /api/users/login
-- returns: count
-- changes: carts
-- params:
--   session_id  a new one that cannot be guessed
--   user_id     the account
-- sample: session_id='sample', user_id=(SELECT MAX(user_id) FROM carts)
-- sample: session_id='sample',
--   user_id=(SELECT id FROM users WHERE id NOT IN (SELECT user_id FROM carts WHERE user_id > 0) ORDER BY id DESC LIMIT 1)
-- plan: the primary key, uq_carts_user
INSERT INTO carts (session_id, user_id, version)
VALUES (%(session_id)s, %(user_id)s, 1)
ON DUPLICATE KEY UPDATE version = carts.version
