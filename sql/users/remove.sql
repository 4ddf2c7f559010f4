-- Remove an account, and with it its sessions. Counts 0 if there is none.
-- used by: DELETE /api/users/{id}
-- returns: count
-- changes: users
-- params:
--   id
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM users)
-- index: users PRIMARY
-- plan: primary key; sessions by ix_sessions_user
DELETE FROM users
WHERE id = %(id)s
