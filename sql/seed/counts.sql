-- How much is in the catalogue before it is replaced, and how many orders there are.
-- used by: server.py seed, server.py check
-- returns: one
-- columns: categories BIGINT NULL, products BIGINT NULL, cart_lines BIGINT NULL, orders BIGINT NULL
-- allow: full scan (it counts all of them, once)
-- plan: the smallest index of each table, whole; seconds for a million products
SELECT
    (SELECT COUNT(*) FROM categories) AS categories,
    (SELECT COUNT(*) FROM products) AS products,
    (SELECT COUNT(*) FROM cart_items) AS cart_lines,
    (SELECT COUNT(*) FROM orders) AS orders
