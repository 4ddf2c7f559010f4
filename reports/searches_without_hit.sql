-- Searches without a hit: the words that customers looked for most often, and that no product on sale has. Searches with
-- filters do not count, nor what may be about a person (an @, a long number); what is asked for again within CACHE_TTL
-- seconds counts once.
-- used by: server.py report, GET /api/reports/searches_without_hit
-- returns: many
-- replica: ok
-- columns: words VARCHAR(100), searches INT, first_day DATE, last_day DATE
-- params:
--   days   1 to 366, default 30; Only what was looked for in so many days, back from today.
--   limit  1 to 1000, default 100; How many at the most.
-- sample: days=30, limit=100
-- rows: at most 1000
-- timeout: 5s
-- allow: full scan and filesort on missed_searches (server.py purge leaves 10,000 of them)
SELECT m.words, m.searches, m.first_day, m.last_day
FROM missed_searches AS m
WHERE m.last_day > CURRENT_DATE - INTERVAL %(days)s DAY
ORDER BY m.searches DESC, m.words
LIMIT %(limit)s
