-- A message, with what is delivered.
-- used by: server.py chores, POST /api/outbox/{id}/retry
-- returns: one
-- columns: id BIGINT, message_id CHAR(36), receiver VARCHAR(300), topic VARCHAR(40), payload MEDIUMTEXT,
--   state VARCHAR(10), attempts INT, due_at TIMESTAMP, created_at TIMESTAMP, ended_at TIMESTAMP NULL,
--   error VARCHAR(300) NULL, traceparent CHAR(55) NULL, now DATETIME
-- params:
--   id  of the message
-- sample: id=(SELECT MAX(id) FROM outbox)
-- reads: at most 5
SELECT
    id, message_id, receiver, topic, payload, state, attempts, due_at, created_at, ended_at, error, traceparent,
    CURRENT_TIMESTAMP AS now
FROM outbox
WHERE id = %(id)s
