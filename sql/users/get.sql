-- One account, without its password's hash.
-- used by: GET /api/users/{id}
-- returns: one
-- columns: id INT, username VARCHAR(50), email VARCHAR(255), role ENUM, created_at TIMESTAMP, updated_at TIMESTAMP
-- params:
--   id
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM users)
-- index: users PRIMARY
-- reads: at most 5
-- plan: primary key
SELECT
    id, username, email, role, created_at, updated_at
FROM users
WHERE id = %(id)s
