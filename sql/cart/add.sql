-- Add a product to a cart, or raise the quantity if it is in the cart already. One statement: it never exceeds the stock.
-- Counts 1 for a new line, 2 for a raised quantity, and 0 for a refusal: no such product, withdrawn, or not enough
-- stock. (The connection must not ask for "found rows": then a refusal would count 1.)
-- used by: POST /api/cart/items
-- returns: count
-- changes: cart_items
-- params:
--   session_id  whose cart
--   product_id  what
--   quantity    how many more
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts), product_id=(SELECT MIN(id) FROM
--     products), quantity=1
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts), quantity=1,
--   product_id=(SELECT product_id FROM cart_items ORDER BY session_id DESC, product_id LIMIT 1)
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts), quantity=2,
--   product_id=(SELECT product_id FROM cart_items ORDER BY session_id DESC, product_id LIMIT 1)
-- sample: session_id=(SELECT MIN(session_id) FROM carts),
--   product_id=(SELECT MAX(id) FROM products WHERE is_active = 0 AND stock_quantity > 0), quantity=1
-- sample: session_id=(SELECT MIN(session_id) FROM carts),
--   product_id=(SELECT id FROM products WHERE is_active = 1 AND stock_quantity > 0 ORDER BY id DESC LIMIT 1),
--   quantity=(SELECT stock_quantity FROM products WHERE is_active = 1 AND stock_quantity > 0 ORDER BY id DESC LIMIT 1)
-- sample: session_id=(SELECT MIN(session_id) FROM carts),
--   product_id=(SELECT MAX(id) FROM products WHERE is_active = 1 AND stock_quantity = 0), quantity=1
-- index: products PRIMARY
-- plan: products by primary key, uq_cart_items_session_product
INSERT INTO cart_items (session_id, product_id, quantity, price_when_added)
SELECT %(session_id)s, p.id, %(quantity)s, p.price
FROM products AS p
WHERE p.id = %(product_id)s
  AND p.is_active = 1
  AND p.stock_quantity >= %(quantity)s
ON DUPLICATE KEY UPDATE
    cart_items.price_when_added = IF(
        cart_items.quantity + %(quantity)s <= p.stock_quantity, p.price, cart_items.price_when_added
    ),
    cart_items.quantity = IF(
        cart_items.quantity + %(quantity)s <= p.stock_quantity,
        cart_items.quantity + %(quantity)s,
        cart_items.quantity
    )
