-- What the current_password of an account is checked against.
-- used by: PUT and DELETE /api/users/{id}
-- returns: one
-- columns: id INT, password_hash VARCHAR(255)
-- params:
--   id
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM users)
-- index: users PRIMARY
-- reads: at most 5
-- plan: primary key
SELECT id, password_hash
FROM users
WHERE id = %(id)s
