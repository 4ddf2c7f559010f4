-- Whether a session is there, and its number.
-- used by: PUT and DELETE /api/users/{id}
-- returns: one
-- columns: id INT
-- params:
--   token_hash  64 hexadecimal digits
-- sample: token_hash=(SELECT COALESCE(MAX(token_hash), '0a') FROM sessions)
-- index: sessions PRIMARY
-- reads: at most 5
-- plan: primary key
SELECT id
FROM sessions
WHERE token_hash = %(token_hash)s
