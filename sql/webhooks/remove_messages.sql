-- Remove what waits for a webhook that is no more; a thousand messages at the most, which takes some 30 ms.
-- used by: DELETE /api/webhooks/{id}, and the chores of server.py serve
-- returns: count
-- changes: outbox
-- params:
--   id  of the webhook
-- sample: id=(SELECT MAX(id) FROM webhooks)
-- allow: filesort on outbox (what waits for one webhook)
-- index: outbox ix_outbox_heads
-- plan: ix_outbox_heads
DELETE FROM outbox
WHERE state = 'waiting' AND receiver = CONCAT('webhook ', %(id)s)
ORDER BY id
LIMIT 1000
