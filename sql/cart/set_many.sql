-- Set the quantities of several lines of a cart, and make those that are not there yet. What may be set was looked up
-- before, in the same transaction, which has locked the cart.
-- used by: POST /api/cart/items/batch, POST /api/cart/merge
-- returns: count
-- changes: cart_items
-- params:
--   session_id  whose cart
--   lines       JSON array of {"product_id": …, "quantity": …, "price": "…" or null}, each product once; price is the one
--               that the shopper saw
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM carts),
--   lines=(SELECT CONCAT('[{"product_id": ', MAX(id), ', "quantity": 2, "price": "19.90"},
--     {"product_id": ', MIN(id), ', "quantity": 1, "price": null}]') FROM products)
-- plan: uq_cart_items_session_product
INSERT INTO cart_items (session_id, product_id, quantity, price_when_added)
SELECT %(session_id)s, n.product_id, n.quantity, n.price
FROM (
    SELECT w.product_id, w.quantity, w.price
    FROM JSON_TABLE(%(lines)s, '$[*]' COLUMNS (
        product_id INT PATH '$.product_id', quantity INT PATH '$.quantity', price DECIMAL(10, 2) PATH '$.price'
    )) AS w
) AS n
ON DUPLICATE KEY UPDATE cart_items.quantity = n.quantity, cart_items.price_when_added = n.price
