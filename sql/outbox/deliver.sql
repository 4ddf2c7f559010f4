-- Note that a message was delivered. That holds even where another process has claimed it meanwhile.
-- used by: server.py chores
-- returns: count
-- changes: outbox
-- params:
--   id  of the message
-- sample: id=(SELECT MAX(id) FROM outbox)
-- sample: id=(SELECT MAX(id) FROM outbox WHERE state = 'delivered')
-- reads: at most 5
UPDATE outbox
SET state = 'delivered', ended_at = CURRENT_TIMESTAMP, error = NULL
WHERE id = %(id)s AND state <> 'delivered'
