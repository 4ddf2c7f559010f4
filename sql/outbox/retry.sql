-- Let a dead letter be delivered again, with all its attempts, as the first of its receiver.
-- used by: POST /api/outbox/{id}/retry
-- returns: count
-- changes: outbox
-- params:
--   id  of the message
-- sample: id=(SELECT MAX(id) FROM outbox)
-- sample: id=(SELECT MAX(id) FROM outbox WHERE state = 'dead')
-- reads: at most 5
UPDATE outbox FORCE INDEX (PRIMARY)
SET state = 'waiting', attempts = 0, due_at = CURRENT_TIMESTAMP, ended_at = NULL
WHERE id = %(id)s AND state = 'dead'
