-- Remove the answers to keys that are older than the time for which they are kept, some at a time.
-- used by: server.py purge, server.py chores
-- returns: count
-- changes: idempotency_keys
-- params:
--   age    seconds
--   limit  at most so many
-- sample: age=86400, limit=1000
-- index: idempotency_keys ix_idempotency_keys_created
-- plan: ix_idempotency_keys_created
DELETE FROM idempotency_keys
WHERE created_at <= CURRENT_TIMESTAMP - INTERVAL %(age)s SECOND
ORDER BY created_at
LIMIT %(limit)s
