-- A webhook, as it is answered and as it is sent to.
-- used by: GET /api/webhooks/{id}, and the chores of server.py serve
-- returns: one
-- columns: id INT, url VARCHAR(1000), topics TEXT, salt BINARY(16), is_active TINYINT, created_at TIMESTAMP,
--   updated_at TIMESTAMP
-- params:
--   id
-- sample: id=(SELECT MAX(id) FROM webhooks)
-- index: webhooks PRIMARY
-- reads: at most 5
-- plan: primary key
SELECT id, url, topics, salt, is_active, created_at, updated_at
FROM webhooks
WHERE id = %(id)s
