-- Give a product these values; products/lock has locked it. Counts 0 if it had these values already.
-- used by: PUT and DELETE /api/products/{id}
-- returns: count
-- changes: products
-- params:
--   id
--   name
--   description     or NULL
--   price           above 0
--   image_url       or NULL
--   category_id     or NULL; locked by categories/lock_many
--   stock_quantity  0 or more
--   is_active       whether it is on sale
-- sample: id=(SELECT MIN(id) FROM products), name='Lamp', price=19.90, stock_quantity=5, is_active=1
-- index: products PRIMARY
-- plan: primary key
UPDATE products
SET name = %(name)s,
    description = %(description)s,
    price = %(price)s,
    image_url = %(image_url)s,
    category_id = %(category_id)s,
    stock_quantity = %(stock_quantity)s,
    is_active = %(is_active)s
WHERE id = %(id)s
