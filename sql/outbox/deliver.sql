-- Note that a message was delivered. That holds even where another process has claimed it meanwhile.
-- used by: server.py chores
-- returns: count
-- params:
--   id  of the message
-- sample: id=(SELECT MAX(id) FROM outbox)
UPDATE outbox
SET state = 'delivered', ended_at = CURRENT_TIMESTAMP, error = NULL
WHERE id = %(id)s AND state <> 'delivered'
