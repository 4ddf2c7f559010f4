-- One line of a cart.
-- used by: POST /api/cart/items, PUT /api/cart/items/{product_id}
-- returns: one
-- params:
--   session_id  whose cart
--   product_id  which line
-- sample:
--   session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM cart_items),
--   product_id=(SELECT product_id FROM cart_items ORDER BY session_id DESC, product_id LIMIT 1)
-- plan: uq_cart_items_session_product, then products by primary key
SELECT
    i.id, i.product_id, i.quantity, p.price AS unit_price, p.price * i.quantity AS line_total,
    p.name, p.image_url, p.stock_quantity, p.is_active
FROM cart_items AS i
JOIN products AS p ON p.id = i.product_id
WHERE i.session_id = %(session_id)s
  AND i.product_id = %(product_id)s
