-- A payment, with the number of its order.
-- used by: POST /api/orders/{number}/payments, POST /api/payments/{provider}/webhook, server.py chores
-- returns: one
-- columns: id INT, order_id INT, number CHAR(11), provider VARCHAR(20), reference VARCHAR(255) NULL,
--   status VARCHAR(12), amount DECIMAL(22,2), currency CHAR(3), fields TEXT NULL, next_action TEXT NULL, attempts INT
-- params:
--   id
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM payments)
-- index: orders PRIMARY; payments PRIMARY
-- reads: at most 5
-- plan: primary keys
SELECT
    p.id, p.order_id, o.number, p.provider, p.reference, p.status, p.amount, p.currency, p.fields, p.next_action,
    p.attempts
FROM payments AS p
JOIN orders AS o ON o.id = p.order_id
WHERE p.id = %(id)s
