-- Products on sale, dearest first; one page.
-- note: written from sql/products/list.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/products?sort=-price
-- returns: many
-- replica: ok
-- like: products/list_price
-- sample: limit=21, offset=0
-- sample: limit=21, offset=10000
-- sample: limit=3, offset=2
-- sample: limit=21, offset=0, category_ids=(SELECT MIN(category_id) FROM products)
-- sample: limit=21, offset=0, category_ids=(SELECT MIN(category_id) FROM products), min_price=20, max_price=80
-- sample: limit=21, offset=0, min_price=20, max_price=80
-- sample: limit=21, offset=0, min_price=19.99, max_price=20
-- sample: limit=21, offset=0, in_stock=1
-- sample: limit=21, offset=0, after_id=5000, after_value=(SELECT price FROM products WHERE id = 5000)
-- sample: limit=21, offset=0, after_id=(SELECT MAX(id) - 40 FROM products),
--   after_value=(SELECT price FROM products WHERE id = (SELECT MAX(id) - 40 FROM products))
-- sample: limit=21, offset=0, after_id=5000, after_value=(SELECT price FROM products WHERE id = 5000),
--   category_ids=(SELECT MIN(category_id) FROM products), min_price=20
-- sample: limit=21, offset=0, min_price=19.99, max_price=20,
--   category_ids=(SELECT id FROM categories ORDER BY id LIMIT 3)
-- sample: limit=21, offset=0, category_ids=(SELECT id FROM categories ORDER BY id LIMIT 3), in_order=1
-- sample: limit=21, offset=0, category_ids=(SELECT id FROM categories ORDER BY id LIMIT 3), in_order=1, after_id=5000,
--   after_value=(SELECT price FROM products WHERE id = 5000)
-- index: products PRIMARY ix_products_price ix_products_category_price ix_products_price ix_products_category_price;
--   categories PRIMARY
-- plan: ix_products_price, or ix_products_category_price with a category_id; see products/list_price
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, c.name AS category_name,
    p.stock_quantity, p.is_active, p.created_at, p.updated_at
FROM (
    SELECT id, price
    FROM products FORCE INDEX (ix_products_price, ix_products_category_price)
    WHERE is_active = 1
      AND (0 IN %(category_ids)s
           OR (%(in_order)s IS NULL AND category_id IN %(category_ids)s)
           OR (%(in_order)s = 1 AND category_id + 0 IN %(category_ids)s))
      AND (%(min_price)s IS NULL OR price >= %(min_price)s)
      AND (%(max_price)s IS NULL OR price <= %(max_price)s)
      AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
      AND (%(after_id)s IS NULL
           OR (price <= %(after_value)s AND (price < %(after_value)s OR id < %(after_id)s)))
    ORDER BY price DESC, id DESC
    LIMIT %(limit)s OFFSET %(offset)s
) AS page
JOIN products AS p ON p.id = page.id
LEFT JOIN categories AS c ON c.id = p.category_id
ORDER BY page.price DESC, page.id DESC
