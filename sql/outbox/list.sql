-- Messages of the outbox, the newest first; one page. Their text is not told: it is for the receiver.
-- used by: GET /api/outbox
-- returns: many
-- columns: id BIGINT, message_id CHAR(36), receiver VARCHAR(300), topic VARCHAR(40), state VARCHAR(10), attempts INT,
--   due_at TIMESTAMP, created_at TIMESTAMP, ended_at TIMESTAMP NULL, error VARCHAR(300) NULL
-- params:  NULL means "do not filter on this"
--   state     waiting, delivered or dead
--   topic     exact
--   receiver  exact
--   after     behind the message with this id
--   limit     rows on the page
-- sample: limit=21
-- sample: state='dead', limit=21
-- sample: state='delivered', after=(SELECT MAX(id) FROM outbox), limit=21
-- sample: topic='order_placed', limit=21
-- sample: receiver='mail ada@example.com', limit=21
-- sample: after=(SELECT MAX(id) FROM outbox), limit=21
-- allow: full scan on outbox (the primary key backwards, until the page is full)
-- index: outbox PRIMARY ix_outbox_state
-- rows: at most 21
-- plan: primary key backwards, or ix_outbox_state; for a rare topic all messages that are not purged yet. Without FORCE
--       INDEX MySQL takes ix_outbox_heads for a rare state, and sorts all that have it.
SELECT id, message_id, receiver, topic, state, attempts, due_at, created_at, ended_at, error
FROM outbox FORCE INDEX (PRIMARY, ix_outbox_state)
WHERE (%(state)s IS NULL OR state = %(state)s)
  AND (%(topic)s IS NULL OR topic = %(topic)s)
  AND (%(receiver)s IS NULL OR receiver = %(receiver)s)
  AND (%(after)s IS NULL OR id < %(after)s)
ORDER BY id DESC
LIMIT %(limit)s
