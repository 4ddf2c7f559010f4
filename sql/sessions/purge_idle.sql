-- Remove sessions that were unused for too long, some at a time.
-- used by: server.py purge, server.py chores
-- returns: count
-- changes: sessions
-- params:
--   idle   seconds that a session may go unused
--   limit  at most so many
-- sample: idle=86400, limit=1000
-- index: sessions ix_sessions_last_used
-- plan: ix_sessions_last_used
DELETE FROM sessions
WHERE last_used_at <= CURRENT_TIMESTAMP - INTERVAL %(idle)s SECOND
ORDER BY last_used_at
LIMIT %(limit)s
