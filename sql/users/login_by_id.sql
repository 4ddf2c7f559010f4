-- What the current_password of an account is checked against.
-- used by: PUT and DELETE /api/users/{id}
-- returns: one
-- params:
--   id
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM users)
-- plan: primary key
SELECT id, password_hash
FROM users
WHERE id = %(id)s
