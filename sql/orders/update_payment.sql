-- Write down what an order's payments come to. The order is locked.
-- used by: POST /api/orders/{number}/payments, POST /api/payments/{provider}/webhook, POST /api/orders/{number}/refunds,
--   POST /api/orders/{number}/cancel, server.py chores
-- returns: count
-- changes: orders
-- params:
--   id
--   payment_status
--   paid
--   refunded
--   expires_at      or NULL
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM orders), payment_status='unpaid', paid=0, refunded=0, expires_at=NULL
-- index: orders PRIMARY
-- plan: primary key
UPDATE orders
SET payment_status = %(payment_status)s, paid = %(paid)s, refunded = %(refunded)s, expires_at = %(expires_at)s
WHERE id = %(id)s
