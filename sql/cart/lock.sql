-- Begin a change of a cart, or make the cart: lock its row, and count its version up. The version is what comes back as
-- the id; 0 for a cart that belongs to another account, which stays as it is.
-- used by: POST /api/cart/items, POST /api/cart/items/batch, PUT and DELETE /api/cart/items/{product_id},
--     POST /api/cart/merge
-- returns: id
-- changes: carts
-- params:
--   session_id  whose cart
--   user_id     the account that asks, or NULL
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts), user_id=1
-- sample: session_id=(SELECT session_id FROM carts WHERE user_id > 0 ORDER BY user_id DESC LIMIT 1),
--   user_id=(SELECT MAX(user_id) FROM carts)
-- sample: session_id=(SELECT session_id FROM carts WHERE user_id > 0 ORDER BY user_id DESC LIMIT 1), user_id=0
-- sample: session_id='sample', user_id=1
-- plan: the primary key
INSERT INTO carts (session_id, version)
VALUES (%(session_id)s, LAST_INSERT_ID(1))
ON DUPLICATE KEY UPDATE
    version = IF(
        carts.user_id IS NULL OR carts.user_id <=> %(user_id)s,
        LAST_INSERT_ID(carts.version + 1),
        carts.version + LAST_INSERT_ID(0)
    )
