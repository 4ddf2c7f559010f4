-- One account, without its password's hash.
-- used by: GET /api/users/{id}
-- returns: one
-- params:
--   id
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM users)
-- plan: primary key
SELECT
    id, username, email, role, created_at, updated_at
FROM users
WHERE id = %(id)s
