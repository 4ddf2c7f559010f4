-- All attempts to pay an order, the oldest first. Whoever changes one has locked the order before.
-- used by: GET /api/orders/{number}, POST /api/orders/{number}/payments, POST /api/orders/{number}/cancel
-- returns: many
-- columns: id INT, provider VARCHAR(20), reference VARCHAR(255) NULL, status VARCHAR(12), amount DECIMAL(22,2),
--   currency CHAR(3), fields TEXT NULL, next_action TEXT NULL, attempts INT, is_due BIGINT NULL
-- params:
--   id  the order
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM orders)
-- index: payments ix_payments_order
-- plan: ix_payments_order
SELECT p.id, p.provider, p.reference, p.status, p.amount, p.currency, p.fields, p.next_action, p.attempts,
    p.retry_at <= CURRENT_TIMESTAMP AS is_due
FROM payments AS p
WHERE p.order_id = %(id)s
ORDER BY p.id
