-- Money that came when the order could not take it any more, and that no refund gives back in full. What to do: give it
-- back at the provider, and add the refund with reason late.
-- used by: server.py check --data
-- returns: many
-- columns: payment_id INT, order_id INT, amount DECIMAL(22,2), given_back DECIMAL(44,2)
-- allow: full scan and temporary table and filesort on payments (a look through all of them)
-- plan: ix_refunds_payment
SELECT p.id AS payment_id, p.order_id, p.amount, COALESCE(SUM(r.amount), 0) AS given_back
FROM payments AS p
LEFT JOIN refunds AS r ON r.payment_id = p.id AND r.reason = 'late'
WHERE p.status = 'late'
GROUP BY p.id, p.order_id, p.amount
HAVING COALESCE(SUM(r.amount), 0) <> p.amount
ORDER BY p.id
LIMIT 1001
