-- Let a dead letter be delivered again, with all its attempts, as the first of its receiver.
-- used by: POST /api/outbox/{id}/retry
-- returns: count
-- params:
--   id  of the message
-- sample: id=(SELECT MAX(id) FROM outbox)
UPDATE outbox
SET state = 'waiting', attempts = 0, due_at = CURRENT_TIMESTAMP, ended_at = NULL
WHERE id = %(id)s AND state = 'dead'
