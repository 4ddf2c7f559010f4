-- Answers to an Idempotency-Key that are empty: they are filled in the transaction that makes them. What to do: delete
-- them, so that whoever sends the key again is not refused; server.py purge does it after a day.
-- used by: server.py check --data
-- returns: many
-- columns: id VARCHAR(64) NULL, created_at TIMESTAMP
-- allow: full scan and filesort on idempotency_keys (those of a day)
SELECT HEX(k.id) AS id, k.created_at
FROM idempotency_keys AS k
WHERE k.answer IS NULL
ORDER BY k.id
LIMIT 1001
