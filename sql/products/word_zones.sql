-- The zones that have products with one of some words, by order; see migrations/0025_word_zones.up.sql. One row of NULLs
-- where there are none, and no row as long as the zones of some products are missing.
-- used by: GET /api/products?search=…
-- returns: many
-- replica: ok
-- columns: sort SMALLINT NULL, part INT NULL, bits BIGINT UNSIGNED, entries BIGINT
-- params:
--   first        words that begin so: this is the first, and
--   last         this sorts behind the last
--   joined       the same for a second beginning; NULL: there is none
--   joined_last
--   wholes       JSON array of whole words; #5 for category 5
--   most         entries of each beginning that are read at the most
-- sample: first='lamp', last='lamq', joined='desklamp', joined_last='desklamq', wholes='["lamps", "#5"]', most=10000
-- sample: first='com', last='con', wholes='[]', most=10000
-- allow: full scan on document (a few words)
-- allow: temporary table and filesort on word_zones_until (its one row, with at most 20,000 entries; mostly some hundred)
-- index: word_zones PRIMARY; word_zones_until PRIMARY
-- plan: ranges of the primary key of word_zones, 0.2 µs for each entry
SELECT z.sort, z.part, BIT_OR(z.bits) AS bits, COUNT(*) AS entries
FROM word_zones_until AS u
LEFT JOIN (
    (SELECT sort, part, bits
     FROM word_zones
     WHERE word >= %(first)s AND word < %(last)s
     LIMIT %(most)s)
    UNION ALL
    (SELECT sort, part, bits
     FROM word_zones
     WHERE word >= %(joined)s AND word < %(joined_last)s
     LIMIT %(most)s)
    UNION ALL
    (SELECT k.sort, k.part, k.bits
     FROM JSON_TABLE(%(wholes)s, '$[*]' COLUMNS (word VARCHAR(40) PATH '$')) AS j
     STRAIGHT_JOIN word_zones AS k FORCE INDEX (PRIMARY) ON k.word = j.word COLLATE utf8mb4_unicode_520_ci)
) AS z ON u.complete = 1
WHERE u.id = 1
  AND u.complete = 1
GROUP BY z.sort, z.part
ORDER BY z.sort, z.part
