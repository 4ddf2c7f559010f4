-- Lines, history, payments and refunds of orders that are not there. What to do: restore the orders from a backup, or
-- delete these rows; then see where a foreign key is gone.
-- used by: server.py check --data
-- returns: many
-- columns: found_in VARCHAR(13), order_id INT, found BIGINT
-- allow: full scan and temporary table and filesort (a look through an index of each of the four)
SELECT found_in, order_id, COUNT(*) AS found
FROM (
    SELECT 'order_items' AS found_in, i.order_id
    FROM order_items AS i
    LEFT JOIN orders AS o ON o.id = i.order_id
    WHERE o.id IS NULL
    UNION ALL
    SELECT 'order_history', h.order_id
    FROM order_history AS h
    LEFT JOIN orders AS o ON o.id = h.order_id
    WHERE o.id IS NULL
    UNION ALL
    SELECT 'payments', p.order_id
    FROM payments AS p
    LEFT JOIN orders AS o ON o.id = p.order_id
    WHERE o.id IS NULL
    UNION ALL
    SELECT 'refunds', r.order_id
    FROM refunds AS r
    LEFT JOIN orders AS o ON o.id = r.order_id
    WHERE o.id IS NULL
) AS orphans
GROUP BY found_in, order_id
ORDER BY found_in, order_id
LIMIT 1001
