-- All webhooks, the oldest first.
-- used by: GET /api/webhooks
-- returns: many
-- columns: id INT, url VARCHAR(1000), topics TEXT, is_active TINYINT, created_at TIMESTAMP, updated_at TIMESTAMP
-- allow: full scan on webhooks (there are at most 20)
-- index: webhooks PRIMARY
-- rows: at most 20
-- plan: primary key
SELECT id, url, topics, is_active, created_at, updated_at
FROM webhooks
ORDER BY id
