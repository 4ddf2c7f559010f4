-- Number the first three characters of the names of these products, where no name began so before.
-- used by: POST /api/products, PUT and DELETE /api/products/{id}, POST /api/products/import, the chores, server.py seed
-- returns: count
-- changes: name_zones
-- params:
--   ids  JSON: [id, …]
-- sample: ids='[1, 2, 3]'
-- sample: ids=(SELECT CONCAT('[', MAX(id), ', ', MAX(id) - 1, ']') FROM products)
-- allow: temporary table and filesort on document (the names of some products)
-- index: name_zones uq_name_zones_prefix; products PRIMARY
-- plan: products by primary key, and a look-up in name_zones for each; those that are new are added in one order, so that
--       two who bring the same ones wait for each other and have no deadlock
INSERT IGNORE INTO name_zones (prefix)
SELECT DISTINCT LEFT(p.name, 3) AS prefix
FROM JSON_TABLE(%(ids)s, '$[*]' COLUMNS (id INT PATH '$')) AS j
STRAIGHT_JOIN products AS p FORCE INDEX (PRIMARY) ON p.id = j.id
LEFT JOIN name_zones AS k ON k.prefix = LEFT(p.name, 3)
WHERE k.id IS NULL
ORDER BY prefix
