-- Orders whose total is not the sum of their lines, or whose item_count is not that of their pieces; orders without lines,
-- too. What to do: compare with the mail that confirmed the order, and with what was paid; correct the row that is wrong.
-- used by: server.py check --data
-- returns: many
-- columns: number CHAR(11) NULL, total DECIMAL(22,2) NULL, sum_of_lines DECIMAL(42,2) NULL, item_count BIGINT NULL, pieces DECIMAL(32,0) NULL
-- allow: full scan and filesort and temporary table on orders (a look through all of them)
-- plan: both by primary key, in step
SELECT MAX(o.number) AS number, MAX(o.total) AS total, SUM(i.unit_price * i.quantity) AS sum_of_lines,
    MAX(o.item_count) AS item_count, SUM(i.quantity) AS pieces
FROM orders AS o
LEFT JOIN order_items AS i ON i.order_id = o.id
GROUP BY o.id
HAVING NOT (MAX(o.total) <=> SUM(i.unit_price * i.quantity) AND MAX(o.item_count) <=> SUM(i.quantity))
ORDER BY o.id
LIMIT 1001
