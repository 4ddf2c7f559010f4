-- Add an account. A name or an e-mail address that is taken is an error of the unique keys, also between two at once:
-- the second waits for the first.
-- used by: POST /api/users/register
-- returns: id
-- changes: users
-- params:
--   username       as given; compared without case
--   email          in lower case
--   password_hash  bcrypt's
-- sample: username='alice', email='alice@example.com', password_hash='*'
INSERT INTO users (username, email, password_hash)
VALUES (%(username)s, %(email)s, %(password_hash)s)
