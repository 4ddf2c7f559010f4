-- Those of these products that are on sale, by id.
-- note: written from sql/products/list.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/products?ids=…
-- returns: many
-- replica: ok
-- like: products/get
-- params:
--   ids  any of these
-- sample: ids=(3, 1, 2)
-- sample: ids=(SELECT id FROM (SELECT id FROM products ORDER BY id DESC LIMIT 20) AS newest)
-- sample: ids=(SELECT id FROM products WHERE id BETWEEN 1000 AND 1099)
-- reads: at most 250
-- plan: primary keys
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, c.name AS category_name,
    p.stock_quantity, p.is_active, p.created_at, p.updated_at
FROM products AS p
LEFT JOIN categories AS c ON c.id = p.category_id
WHERE p.is_active = 1
  AND p.id IN %(ids)s
ORDER BY p.id
