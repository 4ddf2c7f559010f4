-- Replace an account's hash by a costlier one of the same password; not if the password was changed meanwhile.
-- used by: POST /api/users/login
-- returns: count
-- changes: users
-- params:
--   id
--   verified  the hash that the login was checked against
--   renewed   the new one
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM users), renewed='*',
--   verified=(SELECT password_hash FROM users ORDER BY id DESC LIMIT 1)
-- sample: id=(SELECT MAX(id) FROM users), renewed='new',
--   verified=(SELECT password_hash FROM users ORDER BY id DESC LIMIT 1)
-- sample: id=(SELECT MAX(id) FROM users), renewed='new', verified='another'
-- index: users PRIMARY
-- plan: primary key
UPDATE users
SET password_hash = %(renewed)s
WHERE id = %(id)s
  AND password_hash = %(verified)s
