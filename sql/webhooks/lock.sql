-- Lock a webhook, and return what can be changed.
-- used by: PUT /api/webhooks/{id}
-- returns: one
-- params:
--   id
-- sample: id=(SELECT MAX(id) FROM webhooks)
-- plan: primary key
SELECT url, topics, is_active
FROM webhooks
WHERE id = %(id)s
FOR UPDATE
