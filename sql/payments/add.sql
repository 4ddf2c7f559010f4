-- Add an attempt to pay an order, before its provider is asked. retry_at: if nobody has recorded the answer by then, the
-- provider is asked again.
-- used by: POST /api/orders/{number}/payments
-- returns: id
-- changes: payments
-- params:
--   order_id
--   provider
--   amount
--   currency
--   fields    JSON: what the provider wants to know of the client
--   delay     seconds until retry_at
-- sample: order_id=(SELECT COALESCE(MAX(id), 1) FROM orders), provider='dummy', amount=19.90, currency='EUR', fields='{}',
--   delay=60
INSERT INTO payments (order_id, provider, amount, currency, fields, retry_at)
VALUES (
    %(order_id)s, %(provider)s, %(amount)s, %(currency)s, %(fields)s, CURRENT_TIMESTAMP + INTERVAL %(delay)s SECOND
)
