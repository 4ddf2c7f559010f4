-- The account behind a token, if its session has neither ended nor been unused for too long.
-- used by: every route that wants a token
-- returns: one
-- columns: id INT, username VARCHAR(50), email VARCHAR(255), role ENUM, unused_for BIGINT NULL,
--   logged_in_for BIGINT NULL, changes INT
-- params:
--   token_hash  64 hexadecimal digits
--   idle        seconds that a session may go unused
-- sample: idle=2592000,
--   token_hash=(SELECT MAX(token_hash) FROM sessions WHERE expires_at > CURRENT_TIMESTAMP)
-- sample: idle=86400,
--   token_hash=(SELECT MIN(token_hash) FROM sessions WHERE expires_at <= CURRENT_TIMESTAMP)
-- sample: idle=2592000,
--   token_hash=(SELECT token_hash FROM sessions WHERE expires_at > CURRENT_TIMESTAMP ORDER BY last_used_at LIMIT 1)
-- index: sessions PRIMARY; users PRIMARY
-- reads: at most 5
-- plan: primary keys
SELECT
    u.id, u.username, u.email, u.role,
    TIMESTAMPDIFF(SECOND, s.last_used_at, CURRENT_TIMESTAMP) AS unused_for,
    TIMESTAMPDIFF(SECOND, s.created_at, CURRENT_TIMESTAMP) AS logged_in_for,
    s.changes
FROM sessions AS s
JOIN users AS u ON u.id = s.user_id
WHERE s.token_hash = %(token_hash)s
  AND s.expires_at > CURRENT_TIMESTAMP
  AND s.last_used_at > CURRENT_TIMESTAMP - INTERVAL %(idle)s SECOND
