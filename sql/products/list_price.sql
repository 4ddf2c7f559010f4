-- Products on sale, cheapest first; one page.
-- note: written from sql/products/list.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/products?sort=price
-- returns: many
-- replica: ok
-- columns: id INT, name VARCHAR(255), description TEXT NULL, price DECIMAL(10,2), image_url VARCHAR(500) NULL,
--   category_id INT NULL, category_name VARCHAR(100) NULL, stock_quantity INT, is_active TINYINT, created_at TIMESTAMP,
--   updated_at TIMESTAMP
-- params:  NULL means "do not filter on this"
--   category_ids  any of these; (0): do not filter on this
--   in_order      for many products of several categories: 1, see plan
--   min_price     inclusive
--   max_price     inclusive
--   in_stock      1: only what is in stock
--   after_value   what the last product seen has in the column of the order, with after_id; the page begins behind it
--   after_id      its id
--   limit         rows on the page
--   offset        rows to skip
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
-- allow: filesort on products up to 5000 rows (a narrow range of prices, or few products of several categories)
-- allow: filesort on derived (the rows of one page)
-- index: products PRIMARY ix_products_price ix_products_category_price; categories PRIMARY
-- rows: at most 21
-- plan: ix_products_price, or ix_products_category_price with a category_id. The ids come from a subquery that the
--       index covers, and the rows are joined to it afterwards: so a deep page skips index entries, not rows. They
--       are sorted once more by the subquery's columns: by p's, MariaDB would make a temporary table on the disk. The
--       condition is `a >= x AND (a > x OR id …)` and no row constructor, which no server treats as a range.
--       FORCE INDEX: with a bound on the price MySQL would take ix_products_newest and sort all that are on sale.
--       No index has the products of several categories in one order: few are sorted, and where they are many,
--       in_order=1 passes over all others. `category_id + 0` then keeps the categories' index out of the plan: MariaDB
--       would still read the other one, but from its beginning, not from after_value (75 ms for 0.6 at a million).
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
           OR (price >= %(after_value)s AND (price > %(after_value)s OR id > %(after_id)s)))
    ORDER BY price, id
    LIMIT %(limit)s OFFSET %(offset)s
) AS page
JOIN products AS p ON p.id = page.id
LEFT JOIN categories AS c ON c.id = p.category_id
ORDER BY page.price, page.id
