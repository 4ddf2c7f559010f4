-- Write down where a refund stands. The order is locked.
-- used by: POST /api/orders/{number}/refunds, POST /api/orders/{number}/cancel, server.py chores
-- returns: count
-- changes: refunds
-- params:
--   id
--   status     new, succeeded or failed
--   reference  what the provider calls it; NULL leaves it
--   attempts   how often the provider was asked
--   delay      seconds until the provider is asked again, or NULL
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM refunds), status='succeeded', reference='r_1', attempts=1, delay=NULL
-- sample: id=(SELECT MAX(id) FROM refunds), status='new', reference=NULL, attempts=2, delay=60
-- index: refunds PRIMARY
-- plan: primary key
UPDATE refunds
SET status = %(status)s,
    reference = COALESCE(%(reference)s, reference),
    attempts = %(attempts)s,
    retry_at = CURRENT_TIMESTAMP + INTERVAL %(delay)s SECOND
WHERE id = %(id)s
