-- Give an account a role. Counts 0 if there is no such account, or if it has the role already.
-- used by: server.py admin NAME
-- returns: count
-- changes: users
-- params:
--   username  in any case
--   role      admin or customer
-- sample: username=(SELECT COALESCE(MAX(username), 'none') FROM users), role='admin'
-- index: users uq_users_username
-- plan: uq_users_username
UPDATE users
SET role = %(role)s
WHERE username = %(username)s
