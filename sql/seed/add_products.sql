-- Add products, all of one document at once: as fast as a long list of VALUES, and one parameter.
-- used by: server.py seed
-- returns: count
-- changes: products
-- params:
--   rows  JSON: [[id, name, description, price, image_url, category_id, stock_quantity, is_active, created_at], …]
-- sample: rows='[[1, "Lamp", null, "19.90", null, 1, 5, 1, "2026-01-01 00:00:00"]]'
INSERT INTO products (
    id, name, description, price, image_url, category_id, stock_quantity, is_active, created_at, updated_at
)
SELECT
    j.id, j.name, j.description, j.price, j.image_url, j.category_id, j.stock_quantity, j.is_active,
    j.created_at, j.created_at
FROM JSON_TABLE(%(rows)s, '$[*]' COLUMNS (
    id             INT            PATH '$[0]',
    name           VARCHAR(255)   PATH '$[1]',
    description    TEXT           PATH '$[2]',
    price          DECIMAL(10, 2) PATH '$[3]',
    image_url      VARCHAR(500)   PATH '$[4]',
    category_id    INT            PATH '$[5]',
    stock_quantity INT            PATH '$[6]',
    is_active      INT            PATH '$[7]',
    created_at     VARCHAR(19)    PATH '$[8]'
)) AS j
