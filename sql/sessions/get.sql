-- Until when a session lasts.
-- used by: POST /api/users/login, PUT and DELETE /api/users/{id}
-- returns: one
-- params:
--   token_hash  64 hexadecimal digits
-- sample: token_hash=(SELECT COALESCE(MAX(token_hash), '0a') FROM sessions)
-- plan: primary key
SELECT expires_at
FROM sessions
WHERE token_hash = %(token_hash)s
