-- Delete a webhook.
-- used by: DELETE /api/webhooks/{id}
-- returns: count
-- params:
--   id
-- sample: id=(SELECT MAX(id) FROM webhooks)
-- plan: primary key
DELETE FROM webhooks
WHERE id = %(id)s
