-- What a login by email is checked against.
-- used by: POST /api/users/login
-- returns: one
-- params:
--   email  in lower case
-- sample: email=(SELECT COALESCE(MAX(email), 'none') FROM users)
-- plan: uq_users_email
SELECT
    id, username, email, role, created_at, updated_at, password_hash
FROM users
WHERE email = %(email)s
