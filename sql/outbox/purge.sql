-- Remove messages that ended some time ago; one batch.
-- used by: server.py purge, server.py chores
-- returns: count
-- changes: outbox
-- params:
--   state  delivered or dead
--   age    seconds since they ended
--   limit  rows in one transaction
-- sample: state='delivered', age=604800, limit=500
-- index: outbox ix_outbox_ended
-- plan: ix_outbox_ended; the hint as in cart/purge
DELETE /*+ INDEX(outbox ix_outbox_ended) */ FROM outbox
WHERE state = %(state)s AND ended_at < CURRENT_TIMESTAMP - INTERVAL %(age)s SECOND
ORDER BY ended_at
LIMIT %(limit)s
