-- Add units to the stock or remove some. It is one statement, so simultaneous changes lose nothing. Counts 0 for a
-- refusal: no such product, or the stock would go below 0 or above what the column can hold.
-- used by: POST /api/products/{id}/stock
-- returns: count
-- changes: products
-- params:
--   id
--   change   how many more, or fewer if negative; not 0
--   largest  the most that the column can hold
-- sample: id=(SELECT MIN(id) FROM products), change=-1, largest=2147483647
-- sample: id=(SELECT MAX(id) FROM products WHERE stock_quantity > 0), change=-1, largest=2147483647
-- sample: id=(SELECT MAX(id) FROM products WHERE stock_quantity = 0), change=-1, largest=2147483647
-- sample: id=(SELECT MAX(id) FROM products), change=1, largest=1
-- index: products PRIMARY
-- plan: primary key
UPDATE products
SET stock_quantity = stock_quantity + %(change)s
WHERE id = %(id)s
  AND stock_quantity + %(change)s BETWEEN 0 AND %(largest)s
