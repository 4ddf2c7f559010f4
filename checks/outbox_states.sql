-- Messages whose columns contradict each other: one that waits has not ended, one that was delivered or is dead has; one
-- was tried before it ended; none waits for longer than two hours for its next attempt. What to do: POST
-- /api/outbox/{id}/retry sends a dead letter again; correct the others by hand.
-- used by: server.py check --data
-- returns: many
-- columns: id BIGINT, receiver_kind VARCHAR(300) NULL, state VARCHAR(10), attempts INT, due_at TIMESTAMP,
--   ended_at TIMESTAMP NULL
-- allow: full scan on outbox (a look through all of them)
SELECT m.id, SUBSTRING_INDEX(m.receiver, ' ', 1) AS receiver_kind, m.state, m.attempts, m.due_at, m.ended_at
FROM outbox AS m
WHERE (m.state = 'waiting') <> (m.ended_at IS NULL)
   OR (m.state = 'waiting' AND m.due_at > CURRENT_TIMESTAMP + INTERVAL 2 HOUR)
   OR (m.state <> 'waiting' AND m.attempts = 0)
ORDER BY m.id
LIMIT 1001
