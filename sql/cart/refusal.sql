-- Why a product cannot be added to a cart: its stock, whether it is on sale, and how many are in the cart already.
-- used by: POST /api/cart/items, where cart/add has refused
-- returns: one
-- params:
--   session_id  whose cart
--   product_id  what
-- sample:
--   session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM cart_items),
--   product_id=(SELECT product_id FROM cart_items ORDER BY session_id DESC, product_id LIMIT 1)
-- plan: products by primary key, uq_cart_items_session_product
SELECT p.stock_quantity, p.is_active, COALESCE(i.quantity, 0) AS in_cart
FROM products AS p
LEFT JOIN cart_items AS i ON i.product_id = p.id AND i.session_id = %(session_id)s
WHERE p.id = %(product_id)s
