-- Lines of carts that are not there, or of products that are not there: nobody sees them, and nothing removes them. What
-- to do: delete these lines, and see where a foreign key of cart_items is gone.
-- used by: server.py check --data
-- returns: many
-- columns: id BIGINT, session_id VARCHAR(255), product_id INT
-- allow: full scan on cart_items (a look through all of them)
SELECT i.id, i.session_id, i.product_id
FROM cart_items AS i
LEFT JOIN carts AS c ON c.session_id = i.session_id
LEFT JOIN products AS p ON p.id = i.product_id
WHERE c.session_id IS NULL
   OR p.id IS NULL
ORDER BY i.id
LIMIT 1001
