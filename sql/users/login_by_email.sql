-- What a login by email is checked against.
-- used by: POST /api/users/login
-- returns: one
-- columns: id INT, username VARCHAR(50), email VARCHAR(255), role ENUM, created_at TIMESTAMP, updated_at TIMESTAMP,
--   password_hash VARCHAR(255)
-- params:
--   email  in lower case
-- sample: email=(SELECT COALESCE(MAX(email), 'none') FROM users)
-- index: users uq_users_email
-- reads: at most 5
-- plan: uq_users_email
SELECT
    id, username, email, role, created_at, updated_at, password_hash
FROM users
WHERE email = %(email)s
