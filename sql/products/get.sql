-- One product on sale; for everybody but administrators.
-- used by: GET /api/products/{id}
-- returns: one
-- params:
--   id
-- sample: id=(SELECT MIN(id) FROM products)
-- plan: primary keys
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, c.name AS category_name,
    p.stock_quantity, p.is_active, p.created_at, p.updated_at
FROM products AS p
LEFT JOIN categories AS c ON c.id = p.category_id
WHERE p.id = %(id)s
  AND p.is_active = 1
