-- How many products have which of the words, about: found among some 500 to 1,000 products spread over the whole
-- catalogue.
-- used by: GET /api/products?search=…, to choose between the full-text index and reading through
-- returns: many
-- params:
--   in_text  as in products/read_ids; a word counts where a space is in front of it
-- sample: in_text='[[1, null, "% wireless%"], [2, null, "% case%"], [2, 3]]'
-- allow: temporary table and filesort on derived (the products of the sample)
-- allow: temporary table and filesort on spread in MariaDB (the same)
-- cache: estimate; it only has to tell common words from rare ones
-- plan: every step-th product by primary key. The step is a power of two, so that the sample stays the same while the
--       catalogue grows.
-- note: which collation the words of a JSON document have depends on the server's version (in MariaDB 10.11.18 they
--       could not be compared with a product's); COLLATE gives them the products' own.
SELECT sample.words, MAX(sample.step) * COUNT(*) AS products
FROM (
    SELECT spread.step, (
        SELECT BIT_OR(w.word)
        FROM JSON_TABLE(%(in_text)s, '$[*]' COLUMNS (
            word BIGINT PATH '$[0]', category_id INT PATH '$[1]', pattern VARCHAR(255) PATH '$[2]'
        )) AS w
        WHERE w.category_id = t.category_id
           OR CONCAT_WS(' ', '', t.name, t.description, '') LIKE w.pattern COLLATE utf8mb4_unicode_520_ci
    ) AS words
    FROM (
        SELECT CAST(POW(2, GREATEST(0, FLOOR(LOG2(MAX(id) / 500)))) AS SIGNED) AS step FROM products
    ) AS spread
    CROSS JOIN (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
          UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) AS ones
    CROSS JOIN (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
          UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) AS tens
    CROSS JOIN (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
          UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) AS hundreds
    JOIN products AS t
      ON t.id = spread.step * (100 * hundreds.n + 10 * tens.n + ones.n)
              + CAST(CONV(LEFT(SHA2(100 * hundreds.n + 10 * tens.n + ones.n, 256), 6), 16, 10) AS SIGNED)
                MOD spread.step
    WHERE t.is_active = 1
) AS sample
GROUP BY sample.words
ORDER BY sample.words
