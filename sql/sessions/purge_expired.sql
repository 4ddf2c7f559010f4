-- Remove sessions that have ended, some at a time.
-- used by: server.py purge, server.py chores
-- returns: count
-- changes: sessions
-- params:
--   limit  at most so many
-- sample: limit=1000
-- index: sessions ix_sessions_expires
-- plan: ix_sessions_expires
DELETE FROM sessions
WHERE expires_at <= CURRENT_TIMESTAMP
ORDER BY expires_at
LIMIT %(limit)s
