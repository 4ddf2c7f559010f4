-- End one session.
-- used by: POST /api/users/logout
-- returns: count
-- changes: sessions
-- params:
--   token_hash  64 hexadecimal digits
-- sample: token_hash=(SELECT COALESCE(MAX(token_hash), '0a') FROM sessions)
-- index: sessions PRIMARY
-- plan: primary key
DELETE FROM sessions
WHERE token_hash = %(token_hash)s
