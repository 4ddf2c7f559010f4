-- How many webhooks were added before this one. It waits for those that are being added at the same time, and for no later
-- one: so of several at once none waits for another in a circle, and together they are never more than are allowed.
-- used by: POST /api/webhooks
-- returns: one
-- columns: earlier BIGINT
-- params:
--   id  of the webhook that was just added
-- sample: id=(SELECT MAX(id) FROM webhooks)
-- index: webhooks PRIMARY
-- plan: primary key
SELECT COUNT(*) AS earlier
FROM webhooks
WHERE id < %(id)s
LOCK IN SHARE MODE
