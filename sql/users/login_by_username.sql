-- What a login by username is checked against.
-- used by: POST /api/users/login
-- returns: one
-- columns: id INT, username VARCHAR(50), email VARCHAR(255), role ENUM, created_at TIMESTAMP, updated_at TIMESTAMP,
--   password_hash VARCHAR(255)
-- params:
--   username  in any case; ASCII only, or the key cannot be used
-- sample: username=(SELECT COALESCE(MAX(username), 'none') FROM users)
-- index: users uq_users_username
-- reads: at most 5
-- plan: uq_users_username
SELECT
    id, username, email, role, created_at, updated_at, password_hash
FROM users
WHERE username = %(username)s
