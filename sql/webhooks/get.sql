-- A webhook, as it is answered and as it is sent to.
-- used by: GET /api/webhooks/{id}, and the chores of server.py serve
-- returns: one
-- params:
--   id
-- sample: id=(SELECT MAX(id) FROM webhooks)
-- plan: primary key
SELECT id, url, topics, salt, is_active, created_at, updated_at
FROM webhooks
WHERE id = %(id)s
