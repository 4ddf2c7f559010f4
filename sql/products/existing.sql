-- Which of these products exist, on sale or not. Locks nothing.
-- used by: POST /api/products/import
-- returns: many
-- params:
--   ids  JSON: [id, …]
-- sample: ids='[1, 2, 3]'
-- plan: the document's rows, then products by primary key
SELECT p.id
FROM JSON_TABLE(%(ids)s, '$[*]' COLUMNS (id INT PATH '$')) AS j
STRAIGHT_JOIN products AS p ON p.id = j.id
