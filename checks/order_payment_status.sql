-- Orders whose payment_status is not what paid, refunded and their open payments make of it. What to do: correct
-- payment_status, as settle in resources/orders_paying.py has it; first look whether paid and refunded are right.
-- used by: server.py check --data
-- returns: many
-- columns: number CHAR(11), payment_status VARCHAR(15), expected VARCHAR(15), paid DECIMAL(22,2), refunded DECIMAL(22,2)
-- allow: full scan on orders (a look through all of them)
-- plan: ix_payments_order, for orders that are not paid
SELECT s.number, s.payment_status, s.expected, s.paid, s.refunded
FROM (
    SELECT o.id, o.number, o.payment_status, o.paid, o.refunded,
        CASE
            WHEN o.paid > 0 AND o.refunded = 0 THEN 'paid'
            WHEN o.paid > 0 AND o.refunded < o.paid THEN 'partly_refunded'
            WHEN o.paid > 0 THEN 'refunded'
            WHEN EXISTS (
                SELECT 1
                FROM payments AS p
                WHERE p.order_id = o.id
                  AND p.status IN ('new', 'pending', 'authorized', 'capturing')
            ) THEN 'pending'
            ELSE 'unpaid'
        END AS expected
    FROM orders AS o
) AS s
WHERE s.payment_status <> s.expected
ORDER BY s.id
LIMIT 1001
