-- Add a product.
-- used by: POST /api/products, POST /api/products/import
-- returns: id
-- changes: products
-- params:
--   name
--   description     or NULL
--   price           above 0
--   image_url       or NULL
--   category_id     or NULL; locked by categories/lock_many, so that it exists
--   stock_quantity  0 or more
--   is_active       whether it is on sale
-- sample: name='Lamp', price=19.90, stock_quantity=5, is_active=1
INSERT INTO products (name, description, price, image_url, category_id, stock_quantity, is_active)
VALUES (
    %(name)s, %(description)s, %(price)s, %(image_url)s, %(category_id)s, %(stock_quantity)s, %(is_active)s
)
