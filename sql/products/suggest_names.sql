-- Names of products on sale that begin with a text, each once, by name.
-- used by: GET /api/products/suggest
-- returns: many
-- replica: ok
-- columns: id INT NULL, name VARCHAR(255)
-- params:
--   first  the text
--   last   what sorts behind all that begins with it
--   read   how many products are looked at
--   limit  at most so many names
-- sample: first='arc', last='arcz', read=200, limit=10
-- sample: first='a', last='az', read=200, limit=10
-- allow: temporary table and filesort on derived (the rows that are looked at)
-- index: products ix_products_name
-- reads: at most 1000
-- rows: at most 10
-- plan: a range of ix_products_name, which covers it. Of products with one name it gives the oldest.
SELECT MIN(p.id) AS id, p.name
FROM (
    SELECT id, name
    FROM products FORCE INDEX (ix_products_name)
    WHERE is_active = 1
      AND name >= %(first)s
      AND name < %(last)s
    ORDER BY name, id
    LIMIT %(read)s
) AS p
GROUP BY p.name
ORDER BY p.name
LIMIT %(limit)s
