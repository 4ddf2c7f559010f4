-- How many rows there are.
-- used by: server.py purge, server.py chores
-- returns: one
-- columns: total BIGINT
-- allow: full scan on missed_searches (server.py purge leaves 10,000 of them)
SELECT COUNT(*) AS total
FROM missed_searches
