-- How many changes of a login a replica has; no row where it does not have the login.
-- used by: every route that wants a token and may read from a replica
-- returns: one
-- columns: changes INT
-- params:
--   token_hash  64 hexadecimal digits
-- sample: token_hash=(SELECT COALESCE(MAX(token_hash), '0a') FROM sessions)
-- replica: ok
-- index: sessions PRIMARY
-- reads: at most 5
-- plan: primary key
SELECT changes
FROM sessions
WHERE token_hash = %(token_hash)s
