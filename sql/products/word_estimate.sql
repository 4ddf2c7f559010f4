-- How many products have a word, about: found among some 500 to 1,000 products spread over the whole catalogue.
-- used by: GET /api/products?search=…, to choose between the full-text index and reading through
-- returns: one
-- params:
--   word  the beginning of a word, as LIKE has it: letters, marks and numbers, ss for ß, an underscore as \_
-- sample: word='wireless'
-- cache: estimate; it only has to tell common words from rare ones
-- plan: every step-th product by primary key. The step is a power of two, so that the sample stays the same while the
--       catalogue grows.
SELECT COALESCE(MAX(spread.step) * COUNT(*), 0) AS products
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
          + CAST(CONV(LEFT(SHA2(100 * hundreds.n + 10 * tens.n + ones.n, 256), 6), 16, 10) AS SIGNED) MOD spread.step
WHERE t.is_active = 1
  AND CONCAT(' ', REPLACE(REPLACE(CONCAT_WS(' ', t.name, t.description), 'ß', 'ss'), 'ẞ', 'ss')) LIKE CONCAT('%% ', %(word)s, '%%')
