-- Add the products of one document, all at once. The price comes as text, to be exact.
-- used by: POST /api/products/import
-- returns: id
-- params:
--   rows  JSON: [{name, description, price, image_url, category_id, stock_quantity, is_active}, …]; the id that is
--         returned is the first one's
-- sample: rows='[{"name": "Lamp", "price": "19.90", "stock_quantity": 5, "is_active": 1}]'
-- allow: filesort on document (the rows of one import)
INSERT INTO products (name, description, price, image_url, category_id, stock_quantity, is_active)
SELECT j.name, j.description, j.price, j.image_url, j.category_id, j.stock_quantity, j.is_active
FROM JSON_TABLE(%(rows)s, '$[*]' COLUMNS (
    position       FOR ORDINALITY,
    name           VARCHAR(255)   PATH '$.name',
    description    TEXT           PATH '$.description',
    price          DECIMAL(10, 2) PATH '$.price',
    image_url      VARCHAR(500)   PATH '$.image_url',
    category_id    INT            PATH '$.category_id',
    stock_quantity INT            PATH '$.stock_quantity',
    is_active      INT            PATH '$.is_active'
)) AS j
ORDER BY j.position
