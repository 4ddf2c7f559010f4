-- The account that a token gives a new password, if the token can be used.
-- used by: POST /api/users/password-reset/confirm
-- returns: one
-- columns: id INT, username VARCHAR(50), email VARCHAR(255)
-- params:
--   token_hash  64 hexadecimal digits
-- sample: token_hash=(SELECT COALESCE(MAX(token_hash), '0a') FROM password_resets)
-- sample: token_hash=(SELECT MAX(token_hash) FROM password_resets WHERE expires_at <= CURRENT_TIMESTAMP)
-- index: password_resets uq_password_resets_token; users PRIMARY
-- reads: at most 5
-- plan: uq_password_resets_token, primary key
SELECT u.id, u.username, u.email
FROM password_resets AS r
JOIN users AS u ON u.id = r.user_id
WHERE r.token_hash = %(token_hash)s
  AND r.expires_at > CURRENT_TIMESTAMP
