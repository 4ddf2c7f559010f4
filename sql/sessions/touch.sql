-- Store that a session is in use. Run only if the stored time is out of date, not on every request.
-- used by: every route that wants a token
-- returns: count
-- params:
--   token_hash  64 hexadecimal digits
-- sample: token_hash=(SELECT COALESCE(MAX(token_hash), '0a') FROM sessions)
-- plan: primary key
UPDATE sessions
SET last_used_at = CURRENT_TIMESTAMP
WHERE token_hash = %(token_hash)s
