-- Carts of more than 100 lines. What to do: nothing breaks, but something adds lines without locking the cart first, as
-- sql/cart/lock.sql does; find it.
-- used by: server.py check --data
-- returns: many
-- columns: session_id VARCHAR(255), cart_lines BIGINT
-- allow: full scan on cart_items (a look through the index of all of them)
SELECT i.session_id, COUNT(*) AS cart_lines
FROM cart_items AS i
GROUP BY i.session_id
HAVING COUNT(*) > 100
ORDER BY i.session_id
LIMIT 1001
