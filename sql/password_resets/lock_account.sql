-- The account with this e-mail address, locked, if a new password was asked for less than a token's life ago: who has waited
-- longer has asked again. Whoever changes the address or the password at the same time comes before or after.
-- used by: server.py chores
-- returns: one
-- columns: id INT, username VARCHAR(50), email VARCHAR(255), expires_at DATETIME(6) NULL
-- params:
--   email         in lower case
--   requested_at  when it was asked for
--   ttl           seconds that a token lasts
-- sample: email=(SELECT COALESCE(MAX(email), 'none') FROM users), requested_at=(SELECT CURRENT_TIMESTAMP), ttl=1800
-- index: users uq_users_email
-- reads: at most 5
-- plan: uq_users_email
SELECT id, username, email, CURRENT_TIMESTAMP + INTERVAL %(ttl)s SECOND AS expires_at
FROM users
WHERE email = %(email)s
  AND %(requested_at)s > CURRENT_TIMESTAMP - INTERVAL %(ttl)s SECOND
FOR UPDATE
