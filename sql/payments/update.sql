-- Write down where a payment stands. The order is locked.
-- used by: POST /api/orders/{number}/payments, POST /api/payments/{provider}/webhook, POST /api/orders/{number}/cancel,
--   server.py chores
-- returns: count
-- changes: payments
-- params:
--   id
--   status
--   reference    what the provider calls it; NULL leaves it
--   next_action  JSON: what the customer has to do, or NULL
--   attempts     how often the provider was asked for this step
--   delay        seconds until the provider is asked, unless somebody does it before; NULL for nothing to ask
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM payments), status='pending', reference=NULL, next_action=NULL, attempts=1,
--   delay=NULL
-- sample: id=(SELECT MAX(id) FROM payments), status='pending', reference='p_1', next_action='{}', attempts=2, delay=60
-- index: payments PRIMARY
-- plan: primary key
UPDATE payments
SET status = %(status)s,
    reference = COALESCE(%(reference)s, reference),
    next_action = %(next_action)s,
    attempts = %(attempts)s,
    retry_at = CURRENT_TIMESTAMP + INTERVAL %(delay)s SECOND
WHERE id = %(id)s
