-- Give a webhook a new salt, of which its secret is made.
-- used by: POST /api/webhooks/{id}/secret
-- returns: count
-- changes: webhooks
-- params:
--   id
--   salt  16 random bytes
-- sample: id=(SELECT MAX(id) FROM webhooks), salt='0123456789abcdef'
-- index: webhooks PRIMARY
-- plan: primary key
UPDATE webhooks
SET salt = %(salt)s
WHERE id = %(id)s
