-- What can be had of some products: their stock, whether they are on sale, and how many the cart holds already. Unknown
-- products are left out.
-- used by: POST /api/cart/items/batch; POST /api/cart/items, where cart/add has refused
-- returns: many
-- columns: id INT, price DECIMAL(10,2), stock_quantity INT, is_active TINYINT, in_cart BIGINT
-- params:
--   session_id   whose cart
--   product_ids  JSON array of at most 100 ids
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts), product_ids='[3, 1, 2]'
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts),
--   product_ids=(SELECT CONCAT('[', GROUP_CONCAT(product_id), ']') FROM cart_items
--     WHERE session_id = (SELECT MAX(session_id) FROM carts))
-- index: cart_items uq_cart_items_session_product; products PRIMARY
-- reads: at most 400
-- plan: products by primary key, uq_cart_items_session_product
SELECT p.id, p.price, p.stock_quantity, p.is_active, COALESCE(i.quantity, 0) AS in_cart
FROM JSON_TABLE(%(product_ids)s, '$[*]' COLUMNS (id INT PATH '$')) AS w
JOIN products AS p ON p.id = w.id
LEFT JOIN cart_items AS i ON i.product_id = p.id AND i.session_id = %(session_id)s
