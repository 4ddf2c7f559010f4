-- Store the token of a mail that is about to be sent, in place of the one that it had at an earlier attempt. Counts 0 where
-- the account has enough other tokens that can be used. The account is locked.
-- used by: server.py chores
-- returns: count
-- changes: password_resets
-- params:
--   message_id  of the mail
--   user_id     whose
--   token_hash  64 hexadecimal digits
--   ttl         seconds that it lasts
--   most        tokens of an account at the most
-- sample: message_id='msg_1', user_id=(SELECT COALESCE(MAX(id), 1) FROM users), token_hash='0a', ttl=1800, most=3
-- sample: message_id=(SELECT MAX(message_id) FROM password_resets), token_hash='0a', ttl=60, most=3,
--   user_id=(SELECT user_id FROM password_resets ORDER BY message_id DESC LIMIT 1)
-- sample: message_id='msg_1', user_id=(SELECT COALESCE(MAX(id), 1) FROM users), token_hash='0a', ttl=1800,
--   most=(SELECT COUNT(*) + 1 FROM password_resets
--     WHERE user_id = (SELECT MAX(id) FROM users) AND expires_at > CURRENT_TIMESTAMP)
-- index: password_resets ix_password_resets_user ix_password_resets_expires
-- plan: ix_password_resets_user
INSERT INTO password_resets (message_id, user_id, token_hash, expires_at)
SELECT n.message_id, n.user_id, n.token_hash, n.expires_at
FROM (
    SELECT
        %(message_id)s AS message_id, %(user_id)s AS user_id, %(token_hash)s AS token_hash,
        CURRENT_TIMESTAMP + INTERVAL %(ttl)s SECOND AS expires_at, COUNT(*) AS others
    FROM password_resets
    WHERE user_id = %(user_id)s
      AND expires_at > CURRENT_TIMESTAMP
      AND message_id <> %(message_id)s
) AS n
WHERE n.others < %(most)s
ON DUPLICATE KEY UPDATE token_hash = n.token_hash, expires_at = n.expires_at
