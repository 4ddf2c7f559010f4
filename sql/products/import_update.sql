-- Give the products of one document these values, all at once. products/lock_many has locked them.
-- used by: POST /api/products/import
-- returns: count
-- changes: products
-- params:
--   rows  JSON: [{id, name, description, price, image_url, category_id, stock_quantity, is_active}, …]
-- sample: rows='[{"id": 1, "name": "Lamp", "price": "19.90", "stock_quantity": 5, "is_active": 1}]'
-- index: products PRIMARY
-- plan: the document's rows, then products by primary key
UPDATE JSON_TABLE(%(rows)s, '$[*]' COLUMNS (
    id             INT            PATH '$.id',
    name           VARCHAR(255)   PATH '$.name',
    description    TEXT           PATH '$.description',
    price          DECIMAL(10, 2) PATH '$.price',
    image_url      VARCHAR(500)   PATH '$.image_url',
    category_id    INT            PATH '$.category_id',
    stock_quantity INT            PATH '$.stock_quantity',
    is_active      INT            PATH '$.is_active'
)) AS j
STRAIGHT_JOIN products AS p ON p.id = j.id
SET p.name = j.name,
    p.description = j.description,
    p.price = j.price,
    p.image_url = j.image_url,
    p.category_id = j.category_id,
    p.stock_quantity = j.stock_quantity,
    p.is_active = j.is_active
