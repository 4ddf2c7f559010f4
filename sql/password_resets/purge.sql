-- Remove tokens that have expired, some at a time.
-- used by: server.py purge, server.py chores
-- returns: count
-- changes: password_resets
-- params:
--   limit  at most so many
-- sample: limit=1000
-- index: password_resets ix_password_resets_expires
-- plan: ix_password_resets_expires
DELETE FROM password_resets
WHERE expires_at <= CURRENT_TIMESTAMP
ORDER BY expires_at
LIMIT %(limit)s
