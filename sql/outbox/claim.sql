-- Begin an attempt to deliver a message. Of two that want to, one changes a row: it alone may deliver, until the lease is
-- over. What was claimed by a process that has died is due again then.
-- used by: server.py chores
-- returns: count
-- changes: outbox
-- params:
--   id     of the message
--   lease  seconds
-- sample: id=(SELECT MAX(id) FROM outbox), lease=90
-- sample: id=(SELECT MAX(id) FROM outbox WHERE state = 'delivered'), lease=90
-- reads: at most 5
UPDATE outbox FORCE INDEX (PRIMARY)
SET attempts = attempts + 1, due_at = CURRENT_TIMESTAMP + INTERVAL %(lease)s SECOND
WHERE id = %(id)s AND state = 'waiting' AND due_at <= CURRENT_TIMESTAMP
