-- Products that are not on sale, newest first; one page. For administrators.
-- note: written from sql/products/list.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/products/withdrawn
-- returns: many
-- replica: ok
-- columns: id INT, name VARCHAR(255), description TEXT NULL, price DECIMAL(10,2), image_url VARCHAR(500) NULL,
--   category_id INT NULL, category_name VARCHAR(100) NULL, stock_quantity INT, is_active TINYINT, created_at TIMESTAMP,
--   updated_at TIMESTAMP
-- params:  NULL means "from the beginning"
--   after_time  when the last product seen was added; the page begins behind it
--   after_id    its id
--   limit       rows on the page
-- sample: limit=21
-- sample: limit=21, after_id=(SELECT MAX(id) FROM products WHERE is_active = 0),
--   after_time=(SELECT MAX(created_at) FROM products WHERE is_active = 0)
-- allow: filesort on derived (the rows of one page)
-- index: products PRIMARY ix_products_newest; categories PRIMARY
-- rows: at most 21
-- plan: ix_products_newest, from its end; see products/list_price
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, c.name AS category_name,
    p.stock_quantity, p.is_active, p.created_at, p.updated_at
FROM (
    SELECT id, created_at
    FROM products
    WHERE is_active = 0
      AND (%(after_id)s IS NULL
           OR (created_at <= %(after_time)s AND (created_at < %(after_time)s OR id < %(after_id)s)))
    ORDER BY created_at DESC, id DESC
    LIMIT %(limit)s
) AS page
JOIN products AS p ON p.id = page.id
LEFT JOIN categories AS c ON c.id = p.category_id
ORDER BY page.created_at DESC, page.id DESC
