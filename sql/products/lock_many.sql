-- Lock the products of these ids until the transaction ends, and read them. What is missing does not exist.
-- used by: POST /api/products/import
-- returns: many
-- columns: id INT, name VARCHAR(255), description TEXT NULL, price DECIMAL(10,2), image_url VARCHAR(500) NULL,
--   category_id INT NULL, stock_quantity INT, is_active TINYINT
-- params:
--   ids  JSON: [id, …]
-- sample: ids='[1, 2, 3]'
-- allow: temporary table on document (the ids of one request)
-- allow: filesort on derived (the same ids)
-- allow: temporary table on derived in MySQL (the same)
-- index: products PRIMARY
-- plan: the document's rows, then products by primary key: STRAIGHT_JOIN, or all of products might be locked
--       first; FORCE INDEX, or all of a small one are. The document stands in a subquery, which FOR UPDATE leaves alone:
--       MySQL cannot lock it (error 3569).
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, p.stock_quantity, p.is_active
FROM (SELECT DISTINCT t.id FROM JSON_TABLE(%(ids)s, '$[*]' COLUMNS (id INT PATH '$')) AS t) AS j
STRAIGHT_JOIN products AS p FORCE INDEX (PRIMARY) ON p.id = j.id
ORDER BY p.id
FOR UPDATE
