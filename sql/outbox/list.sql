-- Messages of the outbox, the newest first; one page. Their text is not told: it is for the receiver.
-- used by: GET /api/outbox
-- returns: many
-- params:  NULL means "do not filter on this"
--   state     waiting, delivered or dead
--   topic     exact
--   receiver  exact
--   after     behind the message with this id
--   limit     rows on the page
-- sample: limit=21
-- sample: state='dead', limit=21
-- sample: state='delivered', after=(SELECT MAX(id) FROM outbox), limit=21
-- allow: full scan on outbox (the primary key backwards, until the page is full)
-- plan: primary key backwards, or ix_outbox_state; for a rare topic all messages that are not purged yet
SELECT id, message_id, receiver, topic, state, attempts, due_at, created_at, ended_at, error
FROM outbox
WHERE (%(state)s IS NULL OR state = %(state)s)
  AND (%(topic)s IS NULL OR topic = %(topic)s)
  AND (%(receiver)s IS NULL OR receiver = %(receiver)s)
  AND (%(after)s IS NULL OR id < %(after)s)
ORDER BY id DESC
LIMIT %(limit)s
