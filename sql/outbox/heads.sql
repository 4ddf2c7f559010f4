-- Which messages may be delivered now to receivers of one kind: of each receiver the oldest that waits, if it is due.
-- Those behind it wait for it, so each receiver gets its messages in order.
-- used by: server.py chores
-- returns: many
-- params:
--   kind   as a pattern: mail %
--   limit  messages at the most
-- sample: kind='mail %', limit=100
-- sample: kind='webhook %', limit=100
-- allow: filesort on derived (the receivers that have messages waiting)
-- allow: temporary table on derived (the same)
-- plan: ix_outbox_heads, one step for each receiver that has messages waiting, however many those are (with GROUP BY
--       receiver alone MariaDB reads them all: 12,000 took 10 ms instead of 0.4)
SELECT o.id, o.receiver
FROM (
    SELECT MIN(id) AS id
    FROM outbox
    WHERE state = 'waiting' AND receiver LIKE %(kind)s
    GROUP BY state, receiver
) AS heads
JOIN outbox AS o ON o.id = heads.id
WHERE o.due_at <= CURRENT_TIMESTAMP
ORDER BY o.due_at, o.id
LIMIT %(limit)s
