-- Which of these categories exist; they cannot be deleted until the transaction ends.
-- used by: POST /api/products, PUT /api/products/{id}, POST /api/products/import
-- returns: many
-- columns: id INT
-- params:
--   ids  JSON: [id, …]
-- sample: ids='[1, 2, 3]'
-- allow: temporary table on document (the ids of one request)
-- index: categories PRIMARY
-- plan: the document's rows, then categories by primary key; in a subquery as in products/lock_many
SELECT c.id
FROM (SELECT DISTINCT t.id FROM JSON_TABLE(%(ids)s, '$[*]' COLUMNS (id INT PATH '$')) AS t) AS j
STRAIGHT_JOIN categories AS c FORCE INDEX (PRIMARY) ON c.id = j.id
LOCK IN SHARE MODE
