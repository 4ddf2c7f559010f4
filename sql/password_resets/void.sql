-- Void all tokens of an account: it has a new password or e-mail address. The account is locked.
-- used by: POST /api/users/password-reset/confirm, PUT /api/users/{id}
-- returns: count
-- changes: password_resets
-- params:
--   user_id  whose
-- sample: user_id=(SELECT COALESCE(MAX(id), 1) FROM users)
-- index: password_resets ix_password_resets_user
-- plan: ix_password_resets_user
DELETE FROM password_resets
WHERE user_id = %(user_id)s
