-- Orders that count as refunded what their refunds do not come to. Refunds that failed do not count, nor those of money
-- that came too late. What to do: look up the refunds at the provider; then correct refunded and payment_status.
-- used by: server.py check --data
-- returns: many
-- columns: number CHAR(11), refunded DECIMAL(22,2), of_refunds DECIMAL(44,2)
-- allow: full scan and filesort on orders (a look through all of them)
-- allow: full scan and temporary table and filesort on refunds (a look through all of them)
-- allow: filesort on derived (refunds by order)
SELECT o.number, o.refunded, COALESCE(r.amount, 0) AS of_refunds
FROM orders AS o
LEFT JOIN (
    SELECT order_id, SUM(amount) AS amount
    FROM refunds
    WHERE status <> 'failed'
      AND reason <> 'late'
    GROUP BY order_id
) AS r ON r.order_id = o.id
WHERE o.refunded <> COALESCE(r.amount, 0)
ORDER BY o.id
LIMIT 1001
