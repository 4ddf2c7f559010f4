-- A payment, with the number of its order.
-- used by: POST /api/orders/{number}/payments, POST /api/payments/{provider}/webhook, server.py chores
-- returns: one
-- params:
--   id
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM payments)
-- plan: primary keys
SELECT
    p.id, p.order_id, o.number, p.provider, p.reference, p.status, p.amount, p.currency, p.fields, p.next_action,
    p.attempts
FROM payments AS p
JOIN orders AS o ON o.id = p.order_id
WHERE p.id = %(id)s
