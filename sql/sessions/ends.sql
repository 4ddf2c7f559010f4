-- When a session ends: at the latest, and if it is not used any more.
-- used by: POST /api/users/login
-- returns: one
-- columns: expires_at TIMESTAMP, idle_expires_at DATETIME(6) NULL
-- params:
--   token_hash  64 hexadecimal digits
--   idle        seconds that a session may go unused
-- sample: token_hash=(SELECT COALESCE(MAX(token_hash), '0a') FROM sessions), idle=86400
-- index: sessions PRIMARY
-- reads: at most 5
-- plan: primary key
SELECT
    expires_at,
    LEAST(expires_at, last_used_at + INTERVAL %(idle)s SECOND) AS idle_expires_at
FROM sessions
WHERE token_hash = %(token_hash)s
