-- Put pieces of an order back into the stock, after orders/note_restocked. A product that was removed is left out. The column
-- holds no more than 2147483647.
-- used by: POST /api/orders/{number}/cancel, POST /api/orders/{number}/refunds, server.py chores
-- returns: count
-- changes: products
-- params:
--   lines  JSON: [{product_id, quantity}, …], by product_id: products are locked in that order
-- sample: lines='[{"product_id": 1, "quantity": 1}]'
-- sample: lines=(SELECT CONCAT('[{"product_id": ', MAX(id), ', "quantity": 2}]') FROM products)
-- index: products PRIMARY
-- plan: the document's rows, then products by primary key
UPDATE JSON_TABLE(%(lines)s, '$[*]' COLUMNS (product_id INT PATH '$.product_id', quantity INT PATH '$.quantity')) AS j
STRAIGHT_JOIN products AS p ON p.id = j.product_id
SET p.stock_quantity = LEAST(p.stock_quantity + j.quantity, 2147483647)
