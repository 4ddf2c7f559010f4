-- Begin an attempt to deliver a message. Of two that want to, one changes a row: it alone may deliver, until the lease is
-- over. What was claimed by a process that has died is due again then.
-- used by: server.py chores
-- returns: count
-- params:
--   id     of the message
--   lease  seconds
-- sample: id=(SELECT MAX(id) FROM outbox), lease=90
UPDATE outbox
SET attempts = attempts + 1, due_at = CURRENT_TIMESTAMP + INTERVAL %(lease)s SECOND
WHERE id = %(id)s AND state = 'waiting' AND due_at <= CURRENT_TIMESTAMP
