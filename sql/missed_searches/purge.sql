-- Remove what nobody has looked for in some days; one batch.
-- used by: server.py purge, server.py chores
-- returns: count
-- changes: missed_searches
-- params:
--   age    seconds
--   limit  rows in one transaction
-- sample: age=7776000, limit=500
-- plan: ix_missed_searches_last
DELETE FROM missed_searches
WHERE last_day < CURRENT_TIMESTAMP - INTERVAL %(age)s SECOND
ORDER BY last_day
LIMIT %(limit)s
