-- Use a token up. Of two at once one counts 1, and the other 0, as it does where the token is void or has expired by now.
-- used by: POST /api/users/password-reset/confirm
-- returns: count
-- changes: password_resets
-- params:
--   token_hash  64 hexadecimal digits
-- sample: token_hash=(SELECT COALESCE(MAX(token_hash), '0a') FROM password_resets)
-- sample: token_hash=(SELECT MAX(token_hash) FROM password_resets WHERE expires_at <= CURRENT_TIMESTAMP)
-- index: password_resets uq_password_resets_token ix_password_resets_expires
-- plan: uq_password_resets_token
DELETE FROM password_resets
WHERE token_hash = %(token_hash)s
  AND expires_at > CURRENT_TIMESTAMP
