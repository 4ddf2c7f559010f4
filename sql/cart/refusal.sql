-- What speaks against putting a product into a cart: its stock, whether it is on sale, and what the cart holds already.
-- used by: POST /api/cart/items, where cart/add has refused
-- returns: one
-- params:
--   session_id  whose cart
--   product_id  what
-- plan: products by primary key, uq_cart_items_session_product
SELECT p.stock_quantity, p.is_active, COALESCE(i.quantity, 0) AS held
FROM products AS p
LEFT JOIN cart_items AS i ON i.product_id = p.id AND i.session_id = %(session_id)s
WHERE p.id = %(product_id)s
