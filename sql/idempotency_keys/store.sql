-- Store the answer to an Idempotency-Key that this transaction has claimed.
-- used by: every route with POST, where the header Idempotency-Key is sent
-- returns: count
-- changes: idempotency_keys
-- params:
--   id      as in idempotency_keys/add
--   answer  encrypted: its headers and its data
-- sample: id=(SELECT UNHEX(SHA2('sample', 256))), answer='sample'
-- index: idempotency_keys PRIMARY
-- plan: the primary key
UPDATE idempotency_keys
SET answer = %(answer)s
WHERE id = %(id)s
