-- Products with less than nothing in stock. What to do: look into GET /api/audit and the orders of the product, count the
-- shelf, and correct the stock by POST /api/products/{id}/stock; then see where the constraint ck_products_stock is gone.
-- used by: server.py check --data
-- returns: many
-- columns: id INT, name VARCHAR(255), stock_quantity INT
-- allow: full scan on products (a look through all of them)
SELECT p.id, p.name, p.stock_quantity
FROM products AS p
WHERE p.stock_quantity < 0
ORDER BY p.id
LIMIT 1001
