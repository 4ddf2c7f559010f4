-- Payments whose provider is to be asked by now: the process that was about to has died, or got no answer.
-- used by: server.py chores
-- returns: many
-- columns: id INT
-- params:
--   limit
-- sample: limit=50
-- index: payments ix_payments_retry
-- plan: ix_payments_retry
SELECT p.id
FROM payments AS p
WHERE p.retry_at <= CURRENT_TIMESTAMP
ORDER BY p.retry_at, p.id
LIMIT %(limit)s
