-- What was answered to an Idempotency-Key.
-- used by: every route with POST, where the header Idempotency-Key is sent
-- returns: one
-- params:
--   id  as in idempotency_keys/add
-- sample: id=(SELECT MIN(id) FROM idempotency_keys)
-- plan: the primary key
SELECT fingerprint, answer
FROM idempotency_keys
WHERE id = %(id)s
