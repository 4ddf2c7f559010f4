-- One product, withdrawn or not.
-- note: written from sql/products/list.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/products/{id}, POST /api/products, PUT and DELETE /api/products/{id}, POST /api/products/{id}/stock
-- returns: one
-- like: products/get
-- plan: primary keys
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, c.name AS category_name,
    p.stock_quantity, p.is_active, p.created_at, p.updated_at
FROM products AS p
LEFT JOIN categories AS c ON c.id = p.category_id
WHERE p.id = %(id)s
