-- Remove the mails to an address that were delivered or given up: its account is about to be deleted. What still waits is
-- delivered, and goes with server.py purge.
-- used by: DELETE /api/users/{id}
-- returns: count
-- changes: outbox
-- params:
--   email  in lower case
-- sample: email='ada@example.com'
-- index: outbox ix_outbox_heads
-- plan: ix_outbox_heads
DELETE FROM outbox
WHERE state IN ('delivered', 'dead')
  AND receiver IN (CONCAT('mail ', %(email)s), CONCAT('reset ', %(email)s))
