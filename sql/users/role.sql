-- The id and the role of an account.
-- used by: server.py admin NAME
-- returns: one
-- params:
--   username  in any case
-- plan: uq_users_username
SELECT id, username, role
FROM users
WHERE username = %(username)s
