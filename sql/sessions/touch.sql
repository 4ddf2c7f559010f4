-- Store that a session is in use. Run only if the stored time is out of date, not on every request.
-- used by: every route that wants a token
-- returns: count
-- changes: sessions
-- params:
--   token_hash  64 hexadecimal digits
-- sample: token_hash=(SELECT COALESCE(MAX(token_hash), '0a') FROM sessions)
-- sample: token_hash=(SELECT token_hash FROM sessions ORDER BY last_used_at LIMIT 1)
-- index: sessions PRIMARY
-- reads: at most 5
-- plan: primary key
UPDATE sessions
SET last_used_at = CURRENT_TIMESTAMP
WHERE token_hash = %(token_hash)s
