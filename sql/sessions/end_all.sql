-- End all sessions of an account, but for one.
-- used by: POST /api/users/logout?everywhere=true, PUT /api/users/{id}
-- returns: count
-- params:
--   user_id  whose
--   but      the token hash of the one that stays, or NULL
-- plan: fk_sessions_user
DELETE FROM sessions
WHERE user_id = %(user_id)s
  AND (%(but)s IS NULL OR token_hash <> %(but)s)
