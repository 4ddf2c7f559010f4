-- Orders that count as paid what no captured payment has brought, or not what it has. What to do: look up the payment at
-- its provider; then correct paid and payment_status of the order, or the status of the payment.
-- used by: server.py check --data
-- returns: many
-- columns: number CHAR(11), paid DECIMAL(22,2), captured DECIMAL(22,2)
-- allow: full scan on orders (a look through all of them)
-- plan: uq_payments_won
SELECT o.number, o.paid, COALESCE(p.amount, 0) AS captured
FROM orders AS o
LEFT JOIN payments AS p ON p.won_by_order = o.id AND p.status = 'captured'
WHERE o.paid <> COALESCE(p.amount, 0)
ORDER BY o.id
LIMIT 1001
