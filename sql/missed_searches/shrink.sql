-- Remove some of the rows: what was looked for least lately, and of that the rarest, goes first.
-- used by: server.py purge, server.py chores
-- returns: count
-- changes: missed_searches
-- params:
--   limit  how many
-- sample: limit=500
-- allow: full scan on missed_searches (an index in its order, up to the limit)
-- allow: filesort on missed_searches in MySQL (some 10,000 rows)
-- plan: ix_missed_searches_last
DELETE FROM missed_searches
ORDER BY last_day, searches
LIMIT %(limit)s
