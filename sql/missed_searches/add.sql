-- Note what was looked for in vain, all of one document at once.
-- used by: GET /api/products
-- returns: count
-- changes: missed_searches
-- params:
--   rows  JSON: [[words, how often], …]
-- sample: rows='[["unicorn saddle", 3]]'
-- allow: filesort on document (some searches; in one order, so that two who note the same have no deadlock)
INSERT INTO missed_searches (words, searches, first_day, last_day)
SELECT n.words, n.searches, CURRENT_DATE, CURRENT_DATE
FROM JSON_TABLE(%(rows)s, '$[*]' COLUMNS (words VARCHAR(100) PATH '$[0]', searches INT PATH '$[1]')) AS n
ORDER BY n.words
ON DUPLICATE KEY UPDATE
    searches = LEAST(missed_searches.searches + n.searches, 2000000000),
    last_day = CURRENT_DATE
