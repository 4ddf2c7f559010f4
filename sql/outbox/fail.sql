-- Note that a message cannot be delivered: it is a dead letter, and those behind it wait no longer. A report that comes too
-- late (another attempt has begun) changes nothing.
-- used by: server.py chores
-- returns: count
-- changes: outbox
-- params:
--   id       of the message
--   attempt  its number; 1 is the first
--   error    why, in a sentence
-- sample: id=(SELECT MAX(id) FROM outbox), attempt=1, error='There is no such mailbox.'
-- reads: at most 5
UPDATE outbox FORCE INDEX (PRIMARY)
SET state = 'dead', ended_at = CURRENT_TIMESTAMP, error = %(error)s
WHERE id = %(id)s AND state = 'waiting' AND attempts = %(attempt)s
