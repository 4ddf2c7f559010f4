-- Which of these products exist, on sale or not. Locks nothing.
-- used by: POST /api/products/import
-- returns: many
-- columns: id INT
-- params:
--   ids  JSON: [id, …]
-- sample: ids='[1, 2, 3]'
-- index: products PRIMARY
-- reads: at most 10
-- plan: the document's rows, then products by primary key
SELECT p.id
FROM JSON_TABLE(%(ids)s, '$[*]' COLUMNS (id INT PATH '$')) AS j
STRAIGHT_JOIN products AS p ON p.id = j.id
