-- A refund, with its payment and the number of its order.
-- used by: POST /api/orders/{number}/refunds, POST /api/orders/{number}/cancel, server.py chores
-- returns: one
-- params:
--   id
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM refunds)
-- plan: primary keys
SELECT
    r.id, r.order_id, r.payment_id, r.reason, r.status, r.amount, r.currency, r.attempts, o.number, p.provider,
    p.reference, p.amount AS payment_amount, p.fields, r.retry_at <= CURRENT_TIMESTAMP AS is_due
FROM refunds AS r
JOIN payments AS p ON p.id = r.payment_id
JOIN orders AS o ON o.id = r.order_id
WHERE r.id = %(id)s
