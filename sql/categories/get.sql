-- One category, with the number of products on sale in it.
-- used by: GET /api/categories/{id}
-- returns: one
-- params:
--   id
-- sample: id=(SELECT MIN(id) FROM categories)
-- plan: primary key; ix_products_category_price covers the count
SELECT
    c.id, c.name, c.description,
    (SELECT COUNT(*) FROM products AS p WHERE p.category_id = c.id AND p.is_active = 1) AS product_count,
    c.created_at
FROM categories AS c
WHERE c.id = %(id)s
