-- Change what is given of an account. Counts 0 if nothing changed, or if there is no such account.
-- used by: PUT /api/users/{id}, POST /api/users/password-reset/confirm
-- returns: count
-- changes: users
-- params:  NULL means "leave as it is"
--   id
--   username       as given
--   email          in lower case
--   password_hash  bcrypt's
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM users), email='alice@example.com'
-- sample: id=(SELECT MAX(id) FROM users), username='alice', password_hash='new'
-- index: users PRIMARY
-- plan: primary key
UPDATE users
SET username = COALESCE(%(username)s, username),
    email = COALESCE(%(email)s, email),
    password_hash = COALESCE(%(password_hash)s, password_hash)
WHERE id = %(id)s
