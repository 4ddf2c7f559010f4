-- All products by id, withdrawn ones too; some at a time.
-- used by: GET /api/products/export
-- returns: many
-- replica: ok
-- columns: id INT, name VARCHAR(255), description TEXT NULL, price DECIMAL(10,2), image_url VARCHAR(500) NULL,
--   category VARCHAR(100) NULL, stock_quantity INT, is_active TINYINT
-- params:
--   after_id  the last one seen, or 0
--   limit     at most so many
-- sample: after_id=0, limit=1000
-- sample: after_id=10000, limit=1000
-- sample: after_id=(SELECT MAX(id) - 20 FROM products), limit=1000
-- index: categories PRIMARY; products PRIMARY
-- reads: at most 2500
-- rows: at most 1000
-- plan: primary keys
SELECT
    p.id, p.name, p.description, p.price, p.image_url, c.name AS category, p.stock_quantity, p.is_active
FROM products AS p
LEFT JOIN categories AS c ON c.id = p.category_id
WHERE p.id > %(after_id)s
ORDER BY p.id
LIMIT %(limit)s
