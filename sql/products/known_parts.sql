-- Of the ways to split words in two, those where both parts are words of names.
-- used by: GET /api/products?search=…, so that smartwatch finds a smart watch
-- returns: many
-- replica: ok
-- columns: word INT NULL, first_part VARCHAR(100) NULL, second_part VARCHAR(100) NULL
-- params:
--   parts  JSON array of [number of the word, first part, second part]
-- sample: parts='[[1, "smar", "twatch"], [1, "smart", "watch"]]'
-- sample: parts='[[2, "small", "desk"], [1, "wireless", "lamp"], [1, "desk", "case"]]'
-- allow: full scan, temporary table and filesort on document (the ways to split a few words)
-- cache: estimate; a word that was new a moment ago need not be a part
-- plan: two look-ups in known_words for each way
SELECT j.word, j.first_part, j.second_part
FROM JSON_TABLE(%(parts)s, '$[*]' COLUMNS (
    word INT PATH '$[0]', first_part VARCHAR(100) PATH '$[1]', second_part VARCHAR(100) PATH '$[2]'
)) AS j
STRAIGHT_JOIN known_words AS k FORCE INDEX (PRIMARY) ON k.word = j.first_part COLLATE utf8mb4_unicode_520_ci
STRAIGHT_JOIN known_words AS l FORCE INDEX (PRIMARY) ON l.word = j.second_part COLLATE utf8mb4_unicode_520_ci
ORDER BY j.word, j.first_part
