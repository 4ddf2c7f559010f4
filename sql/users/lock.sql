-- Lock an account until the end of the transaction: what was checked before is checked again, and then stays so.
-- used by: PUT and DELETE /api/users/{id}, POST /api/users/password-reset/confirm
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
FOR UPDATE
