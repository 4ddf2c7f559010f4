-- Replace an account's hash by a costlier one of the same password; not if the password was changed meanwhile.
-- used by: POST /api/users/login
-- returns: count
-- params:
--   id
--   verified  the hash that the login was checked against
--   renewed   the new one
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM users), renewed='*',
--   verified=(SELECT password_hash FROM users ORDER BY id DESC LIMIT 1)
-- plan: primary key
UPDATE users
SET password_hash = %(renewed)s
WHERE id = %(id)s
  AND password_hash = %(verified)s
