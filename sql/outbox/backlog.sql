-- How many messages to one kind of receivers are in a state, and how old the oldest of them is.
-- used by: server.py chores
-- returns: one
-- columns: messages BIGINT, age BIGINT NULL
-- params:
--   state  waiting or dead
--   after  the receivers behind this one: the kind, 'mail '
--   end    and before this one: 'mail!'
--   limit  messages that are counted at the most
-- sample: state='waiting', after='mail ', end='mail!', limit=100000
-- sample: state='dead', after='webhook ', end='webhook!', limit=100000
-- index: outbox ix_outbox_heads PRIMARY
-- plan: ix_outbox_heads alone, until the limit, and one row by its id
SELECT counted.messages, GREATEST(0, TIMESTAMPDIFF(SECOND, oldest.created_at, CURRENT_TIMESTAMP)) AS age
FROM (
    SELECT COUNT(*) AS messages, MIN(id) AS id
    FROM (
        SELECT id
        FROM outbox FORCE INDEX (ix_outbox_heads)
        WHERE state = %(state)s AND receiver > %(after)s AND receiver < %(end)s
        ORDER BY receiver, id
        LIMIT %(limit)s
    ) AS some
) AS counted
LEFT JOIN outbox AS oldest ON oldest.id = counted.id
