-- All attempts to pay an order, the oldest first. Whoever changes one has locked the order before.
-- used by: GET /api/orders/{number}, POST /api/orders/{number}/payments, POST /api/orders/{number}/cancel
-- returns: many
-- params:
--   id  the order
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM orders)
-- plan: ix_payments_order
SELECT p.id, p.provider, p.reference, p.status, p.amount, p.currency, p.fields, p.next_action, p.attempts,
    p.retry_at <= CURRENT_TIMESTAMP AS is_due
FROM payments AS p
WHERE p.order_id = %(id)s
ORDER BY p.id
