-- The categories of these names, compared as the column compares them. categories/lock_many locks them afterwards.
-- used by: POST /api/products/import, POST /api/categories, PUT /api/categories/{id}
-- returns: many
-- columns: position BIGINT NULL, id INT
-- params:
--   names  JSON: [name, …]
-- sample: names='["Lamps", "Sound"]'
-- sample: names=(SELECT JSON_ARRAY(MAX(name), 'Lamps', MIN(name)) FROM categories)
-- allow: temporary table on document (the names of one import)
-- index: categories uq_categories_name
-- reads: at most 25
-- plan: the document's rows, then uq_categories_name
SELECT j.position, c.id
FROM (
    SELECT DISTINCT t.position, t.name
    FROM JSON_TABLE(%(names)s, '$[*]' COLUMNS (position FOR ORDINALITY, name VARCHAR(100) PATH '$')) AS t
) AS j
STRAIGHT_JOIN categories AS c ON c.name = j.name COLLATE utf8mb4_unicode_520_ci
