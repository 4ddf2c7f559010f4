-- Claim an Idempotency-Key. Counts 1 for a new key, and 0 for one that is there. While another transaction holds the key,
-- it waits; the row is locked either way.
-- used by: every route with POST, where the header Idempotency-Key is sent
-- returns: count
-- changes: idempotency_keys
-- params:
--   id           keyed hash of whose request it is, its path and the key
--   fingerprint  keyed hash of what was sent
-- sample: id=(SELECT UNHEX(SHA2('sample', 256))), fingerprint=(SELECT UNHEX(SHA2('sample', 256)))
-- sample: id=(SELECT UNHEX(SHA2('new', 256))), fingerprint=(SELECT UNHEX(SHA2('new', 256)))
-- plan: the primary key
INSERT INTO idempotency_keys (id, fingerprint)
VALUES (%(id)s, %(fingerprint)s)
ON DUPLICATE KEY UPDATE id = idempotency_keys.id
