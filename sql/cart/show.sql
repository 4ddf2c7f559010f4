-- A cart with its lines. Prices are today's. Lines of withdrawn products are among them. A cart without lines is one row
-- in which the columns of the line are NULL; an unknown cart is none.
-- used by: GET /api/cart, and each change of a cart
-- returns: many
-- columns: version BIGINT, user_id INT NULL, id BIGINT NULL, product_id INT NULL, quantity INT NULL,
--   price_when_added DECIMAL(10,2) NULL, price DECIMAL(10,2) NULL, name VARCHAR(255) NULL, image_url VARCHAR(500) NULL,
--   stock_quantity INT NULL, is_active TINYINT NULL
-- params:
--   session_id  whose cart; compared byte by byte
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts)
-- sample: session_id=(SELECT session_id FROM carts WHERE user_id > 0 ORDER BY user_id DESC LIMIT 1)
-- index: cart_items uq_cart_items_session_product; carts PRIMARY; products PRIMARY
-- reads: at most 250
-- rows: at most 100
-- plan: carts by primary key, uq_cart_items_session_product, then products by primary key
-- note: in no order. The shop sorts the lines by their ids; ORDER BY makes a temporary table here, and takes a fifth longer.
SELECT
    c.version, c.user_id, i.id, i.product_id, i.quantity, i.price_when_added,
    p.price, p.name, p.image_url, p.stock_quantity, p.is_active
FROM carts AS c
LEFT JOIN cart_items AS i ON i.session_id = c.session_id
LEFT JOIN products AS p ON p.id = i.product_id
WHERE c.session_id = %(session_id)s
