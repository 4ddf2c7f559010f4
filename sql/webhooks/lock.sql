-- Lock a webhook, and return what can be changed.
-- used by: PUT /api/webhooks/{id}
-- returns: one
-- columns: url VARCHAR(1000), topics TEXT, is_active TINYINT
-- params:
--   id
-- sample: id=(SELECT MAX(id) FROM webhooks)
-- index: webhooks PRIMARY
-- reads: at most 5
-- plan: primary key
SELECT url, topics, is_active
FROM webhooks
WHERE id = %(id)s
FOR UPDATE
