-- One product on sale; for everybody but administrators.
-- note: written from sql/products/list.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/products/{id}
-- returns: one
-- replica: ok
-- columns: id INT, name VARCHAR(255), description TEXT NULL, price DECIMAL(10,2), image_url VARCHAR(500) NULL,
--   category_id INT NULL, category_name VARCHAR(100) NULL, stock_quantity INT, is_active TINYINT, created_at TIMESTAMP,
--   updated_at TIMESTAMP
-- params:
--   id
-- sample: id=(SELECT MIN(id) FROM products)
-- sample: id=(SELECT MAX(id) FROM products WHERE is_active = 0)
-- sample: id=(SELECT MAX(id) FROM products WHERE category_id IS NULL)
-- index: products PRIMARY; categories PRIMARY
-- reads: at most 5
-- plan: primary keys
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, c.name AS category_name,
    p.stock_quantity, p.is_active, p.created_at, p.updated_at
FROM products AS p
LEFT JOIN categories AS c ON c.id = p.category_id
WHERE p.id = %(id)s
  AND p.is_active = 1
