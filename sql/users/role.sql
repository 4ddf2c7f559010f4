-- An account by its name, with its role and since when it exists.
-- used by: server.py admin NAME
-- returns: one
-- params:
--   username  in any case
-- sample: username=(SELECT COALESCE(MAX(username), 'none') FROM users)
-- plan: uq_users_username
SELECT id, username, email, role, created_at
FROM users
WHERE username = %(username)s
