-- The logins of an account that have neither ended nor been unused for too long, the newest first; some of them.
-- used by: GET /api/users/me/sessions
-- returns: many
-- params:
--   user_id     whose
--   token_hash  of the one that asks, 64 hexadecimal digits
--   idle        seconds that a session may go unused
--   limit       at most so many
-- sample: user_id=(SELECT COALESCE(MAX(user_id), 1) FROM sessions), token_hash='0a', idle=86400, limit=100
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
