-- The lines of one cart, in the order in which they were added. Prices are today's. Lines of withdrawn products are
-- among them.
-- used by: GET /api/cart
-- returns: many
-- params:
--   session_id  whose cart; compared byte by byte
-- sample: session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM cart_items)
-- allow: filesort on cart_items (a cart has at most 100 lines)
-- plan: uq_cart_items_session_product, then products by primary key
SELECT
    i.id, i.product_id, i.quantity, p.price AS unit_price, p.price * i.quantity AS line_total,
    p.name, p.image_url, p.stock_quantity, p.is_active
FROM cart_items AS i
JOIN products AS p ON p.id = i.product_id
WHERE i.session_id = %(session_id)s
ORDER BY i.id
