-- Remove the rows of hosts that have written no beat for some time, some at a time: each start of a host has a new one.
-- used by: server.py purge, server.py chores
-- returns: count
-- changes: replica_beats
-- params:
--   age    seconds
--   limit  at most so many
-- sample: age=86400, limit=1000
-- allow: full scan and filesort on replica_beats (a row for each start of a host within a day)
-- plan: full scan
DELETE FROM replica_beats
WHERE beat_at < CURRENT_TIMESTAMP - INTERVAL %(age)s SECOND
ORDER BY id
LIMIT %(limit)s
