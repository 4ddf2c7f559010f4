-- Give an account the role of an administrator. Counts 0 where there is no such account, or it is one already.
-- used by: server.py admin NAME
-- returns: count
-- params:
--   username  in any case
-- plan: uq_users_username
UPDATE users
SET role = 'admin'
WHERE username = %(username)s
