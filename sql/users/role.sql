-- Whose account it is, since when, and its role.
-- used by: server.py admin NAME
-- returns: one
-- params:
--   username  in any case
-- sample: username=(SELECT COALESCE(MAX(username), 'none') FROM users)
-- plan: uq_users_username
SELECT id, username, email, role, created_at
FROM users
WHERE username = %(username)s
