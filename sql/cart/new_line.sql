-- The line that this transaction has just made, and how many lines its cart has. The count waits for transactions that
-- add to the same cart and are not yet done. So the last one counts all lines, however many come at once. Two that wait
-- for each other are a deadlock, and one of them runs again.
-- used by: POST /api/cart/items
-- returns: one
-- params:
--   session_id  whose cart
--   product_id  which line
-- sample:
--   session_id=(SELECT COALESCE(MAX(session_id), 'none') FROM cart_items),
--   product_id=(SELECT product_id FROM cart_items ORDER BY session_id DESC, product_id LIMIT 1)
-- plan: uq_cart_items_session_product (twice), then products by primary key, which nothing locks
SELECT
    i.id, i.product_id, i.quantity, p.price AS unit_price, p.price * i.quantity AS line_total,
    p.name, p.image_url, p.stock_quantity, p.is_active,
    (SELECT COUNT(*) FROM cart_items AS n WHERE n.session_id = %(session_id)s FOR UPDATE) AS cart_lines
FROM cart_items AS i
JOIN products AS p ON p.id = i.product_id
WHERE i.session_id = %(session_id)s
  AND i.product_id = %(product_id)s
