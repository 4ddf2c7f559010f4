-- End one session.
-- used by: POST /api/users/logout
-- returns: count
-- params:
--   token_hash  64 hexadecimal digits
-- plan: primary key
DELETE FROM sessions
WHERE token_hash = %(token_hash)s
