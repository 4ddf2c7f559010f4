-- Note which pieces of an order come back into the stock, so that none comes back twice: the table refuses more than were
-- bought. Counts the lines.
-- used by: POST /api/orders/{number}/cancel, POST /api/orders/{number}/refunds, server.py chores
-- returns: count
-- changes: order_items
-- params:
--   id     the order
--   lines  JSON: [{product_id, quantity}, …]
-- sample: id=(SELECT COALESCE(MAX(order_id), 1) FROM order_items), lines='[{"product_id": 1, "quantity": 1}]'
-- sample: id=(SELECT MAX(order_id) FROM order_items),
--   lines=(SELECT CONCAT('[{"product_id": ', product_id, ', "quantity": 1}]') FROM order_items
--     WHERE order_id = (SELECT MAX(order_id) FROM order_items) AND restocked < quantity ORDER BY product_id LIMIT 1)
-- index: order_items PRIMARY
-- plan: the document's rows, then order_items by primary key
UPDATE JSON_TABLE(%(lines)s, '$[*]' COLUMNS (product_id INT PATH '$.product_id', quantity INT PATH '$.quantity')) AS j
STRAIGHT_JOIN order_items AS i ON i.order_id = %(id)s AND i.product_id = j.product_id
SET i.restocked = i.restocked + j.quantity
