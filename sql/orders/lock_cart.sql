-- Lock a cart, its lines and their products until the transaction ends, and read what an order takes over. An unknown cart
-- is no row; one without lines is one row whose product_id is NULL.
-- used by: POST /api/orders
-- returns: many
-- columns: user_id INT NULL, product_id INT NULL, quantity INT NULL, name VARCHAR(255) NULL, price DECIMAL(10,2) NULL,
--   stock_quantity INT NULL, is_active TINYINT NULL, placed_at DATETIME
-- params:
--   session_id  whose cart; compared byte by byte
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts)
-- sample: session_id=(SELECT session_id FROM carts WHERE user_id > 0 ORDER BY user_id DESC LIMIT 1)
-- index: cart_items uq_cart_items_session_product; carts PRIMARY; products PRIMARY
-- plan: carts by primary key, then uq_cart_items_session_product, whose order is that of the products: so whoever locks
--     several products locks them in the order of their ids, and nobody waits in a circle. Not in any order otherwise.
SELECT
    c.user_id, i.product_id, i.quantity, p.name, p.price, p.stock_quantity, p.is_active, CURRENT_TIMESTAMP AS placed_at
FROM carts AS c
LEFT JOIN cart_items AS i FORCE INDEX (uq_cart_items_session_product) ON i.session_id = c.session_id
LEFT JOIN products AS p ON p.id = i.product_id
WHERE c.session_id = %(session_id)s
FOR UPDATE
