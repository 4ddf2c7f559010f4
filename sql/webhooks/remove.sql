-- Delete a webhook.
-- used by: DELETE /api/webhooks/{id}
-- returns: count
-- changes: webhooks
-- params:
--   id
-- sample: id=(SELECT MAX(id) FROM webhooks)
-- index: webhooks PRIMARY
-- plan: primary key
DELETE FROM webhooks
WHERE id = %(id)s
