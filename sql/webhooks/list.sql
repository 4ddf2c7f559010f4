-- All webhooks, the oldest first.
-- used by: GET /api/webhooks
-- returns: many
-- allow: full scan on webhooks (there are at most 20)
-- plan: primary key
SELECT id, url, topics, is_active, created_at, updated_at
FROM webhooks
ORDER BY id
