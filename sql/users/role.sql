-- The id and the role of an account.
-- used by: server.py admin NAME
-- returns: one
-- params:
--   username  in any case
-- sample: username=(SELECT COALESCE(MAX(username), 'none') FROM users)
-- plan: uq_users_username
SELECT id, username, role
FROM users
WHERE username = %(username)s
