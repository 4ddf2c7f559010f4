-- Payments of which more goes back than they have brought; and refunds of a payment of another order, or of one that has
-- brought nothing. What to do: ask the provider which refunds were really paid out, and set the others to failed.
-- used by: server.py check --data
-- returns: many
-- columns: payment_id INT, order_id INT, payment_status VARCHAR(12), amount DECIMAL(22,2), goes_back DECIMAL(44,2) NULL
-- allow: full scan and temporary table and filesort on refunds (a look through all of them)
-- allow: temporary table and filesort on payments (those with refunds)
SELECT p.id AS payment_id, p.order_id, p.status AS payment_status, p.amount, SUM(r.amount) AS goes_back
FROM refunds AS r
JOIN payments AS p ON p.id = r.payment_id
WHERE r.status <> 'failed'
GROUP BY p.id, p.order_id, p.status, p.amount
HAVING SUM(r.amount) > p.amount
    OR SUM(r.order_id <> p.order_id) > 0
    OR p.status NOT IN ('captured', 'late')
ORDER BY p.id
LIMIT 1001
