-- Add the lines of orders, all of one document at once. What was canceled is back in the stock.
-- used by: server.py seed
-- returns: count
-- changes: order_items
-- params:
--   rows  JSON: [[number, product_id, name, unit_price, quantity], …]
-- sample: rows='[["00000-00000", 1, "Lamp", "19.90", 1]]'
-- plan: uq_orders_number
INSERT INTO order_items (order_id, product_id, name, unit_price, quantity, restocked)
SELECT o.id, j.product_id, j.name, j.unit_price, j.quantity, IF(o.status = 'canceled', j.quantity, 0)
FROM JSON_TABLE(%(rows)s, '$[*]' COLUMNS (
    number     VARCHAR(11)    PATH '$[0]',
    product_id INT            PATH '$[1]',
    name       VARCHAR(255)   PATH '$[2]',
    unit_price DECIMAL(10, 2) PATH '$[3]',
    quantity   INT            PATH '$[4]'
)) AS j
JOIN orders AS o ON o.number = CONVERT(j.number USING ascii) COLLATE ascii_bin
