-- An account by its name, with its role and since when it exists.
-- used by: server.py admin NAME
-- returns: one
-- columns: id INT, username VARCHAR(50), email VARCHAR(255), role ENUM, created_at TIMESTAMP
-- params:
--   username  in any case
-- sample: username=(SELECT COALESCE(MAX(username), 'none') FROM users)
-- index: users uq_users_username
-- reads: at most 5
-- plan: uq_users_username
SELECT id, username, email, role, created_at
FROM users
WHERE username = %(username)s
