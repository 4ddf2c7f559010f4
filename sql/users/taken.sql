-- Which of these another account has: its name, its e-mail address. One statement, so that it sees both as they are at
-- one moment: whoever takes both at once has both.
-- used by: POST /api/users/register, PUT /api/users/{id}, POST /api/users/password-reset/confirm
-- returns: many
-- columns: field VARCHAR(8)
-- params:  NULL means "do not look for this"
--   username  in any case; ASCII only, or the key cannot be used
--   email     in lower case
--   id        the account whose own they may be
-- sample: id=1, username=(SELECT COALESCE(MAX(username), 'none') FROM users), email='alice@example.com'
-- sample: id=(SELECT MAX(id) FROM users), username=(SELECT username FROM users ORDER BY id DESC LIMIT 1),
--   email=(SELECT email FROM users ORDER BY id LIMIT 1)
-- sample: id=(SELECT MAX(id) FROM users), username=(SELECT username FROM users ORDER BY id LIMIT 1),
--   email=(SELECT email FROM users ORDER BY id DESC LIMIT 1)
-- index: users uq_users_email uq_users_username
-- reads: at most 5
-- plan: uq_users_username, uq_users_email
SELECT 'username' AS field
FROM users
WHERE username = %(username)s
  AND (%(id)s IS NULL OR id <> %(id)s)
UNION ALL
SELECT 'email' AS field
FROM users
WHERE email = %(email)s
  AND (%(id)s IS NULL OR id <> %(id)s)
