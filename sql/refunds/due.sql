-- Refunds whose provider is to be asked by now.
-- used by: server.py chores
-- returns: many
-- columns: id INT
-- params:
--   limit
-- sample: limit=50
-- index: refunds ix_refunds_retry
-- plan: ix_refunds_retry
SELECT r.id
FROM refunds AS r
WHERE r.retry_at <= CURRENT_TIMESTAMP
ORDER BY r.retry_at, r.id
LIMIT %(limit)s
