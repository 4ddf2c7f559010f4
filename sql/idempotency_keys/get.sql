-- What was answered to an Idempotency-Key.
-- used by: every route with POST, where the header Idempotency-Key is sent
-- returns: one
-- columns: fingerprint BINARY(32), answer MEDIUMBLOB NULL
-- params:
--   id  as in idempotency_keys/add
-- sample: id=(SELECT MIN(id) FROM idempotency_keys)
-- index: idempotency_keys PRIMARY
-- reads: at most 5
-- plan: the primary key
SELECT fingerprint, answer
FROM idempotency_keys
WHERE id = %(id)s
