-- Products of a category that is not there. What to do: give them another one by PUT /api/products/{id}; then see where
-- the constraint fk_products_category is gone.
-- used by: server.py check --data
-- returns: many
-- columns: id INT, name VARCHAR(255), category_id INT NULL
-- allow: full scan on products (a look through an index of all of them)
SELECT p.id, p.name, p.category_id
FROM products AS p
LEFT JOIN categories AS c ON c.id = p.category_id
WHERE p.category_id IS NOT NULL
  AND c.id IS NULL
ORDER BY p.id
LIMIT 1001
