-- Let the first message that waits for a webhook be due now: it was changed, and may take it.
-- used by: PUT /api/webhooks/{id}
-- returns: count
-- changes: outbox
-- params:
--   id  of the webhook
-- sample: id=(SELECT MAX(id) FROM webhooks)
-- allow: temporary table on outbox in MySQL (one row)
-- index: outbox ix_outbox_heads
-- plan: ix_outbox_heads, its first row; with ORDER BY id, or without FORCE INDEX, MariaDB sorts all that wait
UPDATE outbox FORCE INDEX (ix_outbox_heads)
SET due_at = CURRENT_TIMESTAMP
WHERE state = 'waiting' AND receiver = CONCAT('webhook ', %(id)s)
ORDER BY state, receiver, id
LIMIT 1
