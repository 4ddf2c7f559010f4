-- Open a session, if password and e-mail address are still the ones that were checked: a login takes a while, and a
-- new one of these ends every session before it. Counts 0 where it was changed, or the account deleted, meanwhile.
-- used by: POST /api/users/login
-- returns: count
-- changes: sessions
-- params:
--   token_hash  64 hexadecimal digits
--   user_id     whose
--   email       whose address is
--   verified    the hash that the login was checked against
--   ttl         seconds that it lasts at the most
--   address     where the login comes from, at most 45 characters
-- sample: token_hash='0a', user_id=(SELECT COALESCE(MAX(id), 1) FROM users), ttl=86400,
--   address='203.0.113.9',
--   email=(SELECT email FROM users ORDER BY id DESC LIMIT 1),
--   verified=(SELECT password_hash FROM users ORDER BY id DESC LIMIT 1)
-- index: users PRIMARY
-- plan: users by primary key, locked: a change that is under way is waited for
INSERT INTO sessions (token_hash, user_id, expires_at, address)
SELECT %(token_hash)s, u.id, CURRENT_TIMESTAMP + INTERVAL %(ttl)s SECOND, %(address)s
FROM users AS u
WHERE u.id = %(user_id)s
  AND u.email = %(email)s
  AND u.password_hash = %(verified)s
FOR UPDATE
