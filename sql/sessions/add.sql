-- Open a session.
-- used by: POST /api/users/login
-- returns: count
-- params:
--   token_hash  64 hexadecimal digits
--   user_id     whose
--   ttl         seconds that it lasts at the most
INSERT INTO sessions (token_hash, user_id, expires_at)
VALUES (%(token_hash)s, %(user_id)s, CURRENT_TIMESTAMP + INTERVAL %(ttl)s SECOND)
