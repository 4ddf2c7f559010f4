-- Add a refund, before the provider is asked.
-- used by: POST /api/orders/{number}/refunds, POST /api/orders/{number}/cancel, POST /api/payments/{provider}/webhook
-- returns: id
-- changes: refunds
-- params:
--   order_id
--   payment_id  of which it gives money back
--   reason      requested, canceled or late
--   amount
--   currency
--   delay       seconds until the provider is asked, unless somebody does it before
-- sample: order_id=(SELECT COALESCE(MAX(order_id), 1) FROM payments), payment_id=(SELECT COALESCE(MAX(id), 1) FROM payments),
--   reason='requested', amount=5, currency='EUR', delay=60
INSERT INTO refunds (order_id, payment_id, reason, amount, currency, retry_at)
VALUES (
    %(order_id)s, %(payment_id)s, %(reason)s, %(amount)s, %(currency)s, CURRENT_TIMESTAMP + INTERVAL %(delay)s SECOND
)
