-- End all sessions of an account, except one.
-- used by: POST /api/users/logout?everywhere=true, PUT /api/users/{id}, DELETE /api/users/{id}/sessions,
--   POST /api/users/password-reset/confirm
-- returns: count
-- changes: sessions
-- params:
--   user_id  whose
--   but      the token hash of the one that stays, or NULL
-- sample: user_id=(SELECT COALESCE(MAX(user_id), 1) FROM sessions)
-- sample: user_id=(SELECT COALESCE(MAX(user_id), 1) FROM sessions), but=(SELECT COALESCE(MAX(token_hash), '0a') FROM
--     sessions)
-- index: sessions ix_sessions_user
-- plan: ix_sessions_user
DELETE FROM sessions
WHERE user_id = %(user_id)s
  AND (%(but)s IS NULL OR token_hash <> %(but)s)
