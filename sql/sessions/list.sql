-- The logins of an account that have neither ended nor been unused for too long, the newest first; some of them.
-- used by: GET /api/users/me/sessions
-- returns: many
-- columns: id INT, created_at TIMESTAMP, last_used_at TIMESTAMP, expires_at TIMESTAMP, address VARCHAR(45) NULL,
--   idle_expires_at DATETIME(6) NULL, is_current BIGINT NULL
-- params:
--   user_id     whose
--   token_hash  of the one that asks, 64 hexadecimal digits
--   idle        seconds that a session may go unused
--   limit       at most so many
-- sample: user_id=(SELECT COALESCE(MAX(user_id), 1) FROM sessions), token_hash='0a', idle=86400, limit=100
-- sample: user_id=(SELECT COALESCE(MAX(user_id), 1) FROM sessions), token_hash='0a', idle=2592000, limit=100
-- index: sessions ix_sessions_user
-- plan: ix_sessions_user, backwards
SELECT
    id, created_at, last_used_at, expires_at, address,
    LEAST(expires_at, last_used_at + INTERVAL %(idle)s SECOND) AS idle_expires_at,
    token_hash = %(token_hash)s AS is_current
FROM sessions
WHERE user_id = %(user_id)s
  AND expires_at > CURRENT_TIMESTAMP
  AND last_used_at > CURRENT_TIMESTAMP - INTERVAL %(idle)s SECOND
ORDER BY id DESC
LIMIT %(limit)s
