-- What a login by username is checked against.
-- used by: POST /api/users/login
-- returns: one
-- params:
--   username  in any case; ASCII only, or the key cannot be used
-- sample: username=(SELECT COALESCE(MAX(username), 'none') FROM users)
-- plan: uq_users_username
SELECT
    id, username, email, role, created_at, updated_at, password_hash
FROM users
WHERE username = %(username)s
