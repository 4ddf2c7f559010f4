-- Put units into stock or take them out, as one step, so that simultaneous changes lose nothing. Counts 0 where it
-- refuses: no such product, or there would be fewer than none or more than the column holds.
-- used by: POST /api/products/{id}/stock
-- returns: count
-- params:
--   id
--   change   how many more, or less; not 0
--   largest  what the column holds
-- sample: id=(SELECT MIN(id) FROM products), change=-1, largest=2147483647
-- plan: primary key
UPDATE products
SET stock_quantity = stock_quantity + %(change)s
WHERE id = %(id)s
  AND stock_quantity + %(change)s BETWEEN 0 AND %(largest)s
