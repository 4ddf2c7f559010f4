-- Messages that wait, by receivers of one kind, some at a time. The first of each receiver may be delivered if it is due;
-- those behind it wait for it, so each receiver gets its messages in order. The next look begins behind the last receiver
-- of this one, however many messages that has.
-- used by: server.py chores
-- returns: many
-- columns: id BIGINT, receiver VARCHAR(300), is_due BIGINT
-- params:
--   after  the receivers behind this one: at first the kind, 'mail '
--   end    and before this one: 'mail!'
--   limit  messages at the most
-- sample: after='mail ', end='mail!', limit=100
-- sample: after='webhook 1', end='webhook!', limit=100
-- index: outbox ix_outbox_heads
-- plan: ix_outbox_heads, in its order, until the limit. GROUP BY receiver reads all that wait: 330 ms where a receiver has
--   half a million, on MariaDB.
SELECT id, receiver, due_at <= CURRENT_TIMESTAMP AS is_due
FROM outbox FORCE INDEX (ix_outbox_heads)
WHERE state = 'waiting' AND receiver > %(after)s AND receiver < %(end)s
ORDER BY receiver, id
LIMIT %(limit)s
