-- A refund, with its payment and the number of its order.
-- used by: POST /api/orders/{number}/refunds, POST /api/orders/{number}/cancel, server.py chores
-- returns: one
-- columns: id INT, order_id INT, payment_id INT, reason VARCHAR(10), status VARCHAR(10), amount DECIMAL(22,2),
--   currency CHAR(3), attempts INT, number CHAR(11), provider VARCHAR(20), reference VARCHAR(255) NULL,
--   payment_amount DECIMAL(22,2), fields TEXT NULL, is_due BIGINT NULL
-- params:
--   id
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM refunds)
-- index: orders PRIMARY; payments PRIMARY; refunds PRIMARY
-- reads: at most 5
-- plan: primary keys
SELECT
    r.id, r.order_id, r.payment_id, r.reason, r.status, r.amount, r.currency, r.attempts, o.number, p.provider,
    p.reference, p.amount AS payment_amount, p.fields, r.retry_at <= CURRENT_TIMESTAMP AS is_due
FROM refunds AS r
JOIN payments AS p ON p.id = r.payment_id
JOIN orders AS o ON o.id = r.order_id
WHERE r.id = %(id)s
