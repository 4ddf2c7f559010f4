-- Lines of canceled orders whose pieces have not all come back into the stock. What to do: add quantity - restocked to the
-- stock of the product by POST /api/products/{id}/stock, and set restocked to quantity.
-- used by: server.py check --data
-- returns: many
-- columns: number CHAR(11), product_id INT, quantity INT, restocked INT
-- allow: filesort and temporary table on orders (canceled ones)
-- plan: ix_orders_status, then the lines of canceled orders by primary key
SELECT o.number, i.product_id, i.quantity, i.restocked
FROM orders AS o FORCE INDEX (ix_orders_status)
STRAIGHT_JOIN order_items AS i ON i.order_id = o.id
WHERE o.status = 'canceled'
  AND i.restocked <> i.quantity
ORDER BY o.id, i.product_id
LIMIT 1001
