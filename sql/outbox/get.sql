-- A message, with what is delivered.
-- used by: server.py chores, POST /api/outbox/{id}/retry
-- returns: one
-- params:
--   id  of the message
-- sample: id=(SELECT MAX(id) FROM outbox)
SELECT
    id, message_id, receiver, topic, payload, state, attempts, due_at, created_at, ended_at, error, CURRENT_TIMESTAMP AS now
FROM outbox
WHERE id = %(id)s
