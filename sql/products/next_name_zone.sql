-- The next of some beginnings of names, by name or backwards: the first that names behind a certain one may have.
-- used by: GET /api/products?search=…
-- returns: one
-- replica: ok
-- columns: prefix VARCHAR(3), is_there BIGINT NULL
-- params:
--   ids         JSON array, of name_zones
--   backwards   1: by name backwards; 0: by name
--   after_name  NULL: there is none, all names count
--   last        what sorts behind every letter
-- sample: ids='[1, 2, 3]', backwards=0, last='z'
-- sample: ids='[1, 2, 3]', backwards=1, after_name='M', last='z'
-- allow: full scan, temporary table and filesort on document (the zones of one search)
-- index: name_zones PRIMARY
-- plan: name_zones by primary key
SELECT
    z.prefix,
    %(after_name)s IS NOT NULL AND z.prefix <= %(after_name)s AND CONCAT(z.prefix, %(last)s) > %(after_name)s AS is_there
FROM JSON_TABLE(%(ids)s, '$[*]' COLUMNS (id INT PATH '$')) AS j
STRAIGHT_JOIN name_zones AS z ON z.id = j.id
WHERE %(after_name)s IS NULL
   OR (%(backwards)s = 0 AND CONCAT(z.prefix, %(last)s) > %(after_name)s)
   OR (%(backwards)s = 1 AND z.prefix <= %(after_name)s)
ORDER BY CASE WHEN %(backwards)s = 0 THEN z.prefix END, CASE WHEN %(backwards)s = 1 THEN z.prefix END DESC
LIMIT 1
