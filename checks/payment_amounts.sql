-- Payments of another amount or currency than their order. What to do: look up at the provider what was really paid, and
-- refund the difference by hand.
-- used by: server.py check --data
-- returns: many
-- columns: payment_id INT, number CHAR(11), amount DECIMAL(22,2), currency CHAR(3), total DECIMAL(22,2), order_currency CHAR(3)
-- allow: full scan on payments (a look through all of them)
SELECT p.id AS payment_id, o.number, p.amount, p.currency, o.total, o.currency AS order_currency
FROM payments AS p
JOIN orders AS o ON o.id = p.order_id
WHERE p.amount <> o.total
   OR p.currency <> o.currency
ORDER BY p.id
LIMIT 1001
