-- End one session, by its number, if it is this account's.
-- used by: DELETE /api/users/me/sessions/{id}
-- returns: count
-- changes: sessions
-- params:
--   id       its number
--   user_id  whose it must be
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM sessions), user_id=(SELECT COALESCE(MAX(user_id), 1) FROM sessions)
-- sample: id=(SELECT MIN(id) FROM sessions), user_id=(SELECT COALESCE(MAX(user_id), 1) FROM sessions)
-- index: sessions uq_sessions_id
-- plan: uq_sessions_id
DELETE FROM sessions
WHERE id = %(id)s
  AND user_id = %(user_id)s
