-- Products whose stock is not what the audit trail, and the orders since its last entry, make of it. It looks at products
-- that an administrator changed in the last week, and only where it can be told: nothing of the product was ordered
-- within two minutes of that entry, and no older order has given pieces back since. What to do: somebody has changed the
-- stock by hand. Count the shelf, and correct it by POST /api/products/{id}/stock: from then on the trail is right again.
-- used by: server.py check --data
-- returns: many
-- columns: id INT, name VARCHAR(255), stock_quantity INT, expected DECIMAL(34,0) NULL, changed_at TIMESTAMP
-- allow: full scan and temporary table and filesort (entries and orders of a week; all of order_history, once)
-- plan: ix_audit_entries_entity, then the orders of eight days by ix_orders_placed
WITH changed AS (
    SELECT e.entity_id AS product_id, e.created_at AS changed_at,
        CAST(JSON_VALUE(e.after_state, '$.stock_quantity') AS SIGNED) AS stock
    FROM (
        SELECT entity_id, MAX(id) AS id
        FROM audit_entries
        WHERE entity = 'product'
        GROUP BY entity_id
    ) AS newest
    JOIN audit_entries AS e ON e.id = newest.id
    WHERE e.created_at > CURRENT_TIMESTAMP - INTERVAL 7 DAY
),
ordered AS (
    SELECT c.product_id, SUM(i.quantity - i.restocked) AS pieces,
        MIN(o.placed_at) < MIN(c.changed_at) + INTERVAL 2 MINUTE AS is_close
    FROM orders AS o FORCE INDEX (ix_orders_placed)
    JOIN order_items AS i ON i.order_id = o.id
    JOIN changed AS c ON c.product_id = i.product_id
    WHERE o.placed_at > CURRENT_TIMESTAMP - INTERVAL 8 DAY
      AND o.placed_at > c.changed_at - INTERVAL 2 MINUTE
    GROUP BY c.product_id
),
given_back AS (
    SELECT DISTINCT c.product_id
    FROM order_history AS h
    JOIN orders AS o ON o.id = h.order_id
    JOIN order_items AS i ON i.order_id = h.order_id
    JOIN changed AS c ON c.product_id = i.product_id
    WHERE h.what IN ('canceled', 'expired', 'refunded')
      AND h.at > CURRENT_TIMESTAMP - INTERVAL 8 DAY
      AND h.at > c.changed_at - INTERVAL 2 MINUTE
      AND o.placed_at <= c.changed_at
      AND i.restocked > 0
)
SELECT p.id, p.name, p.stock_quantity, c.stock - COALESCE(b.pieces, 0) AS expected, c.changed_at
FROM changed AS c
JOIN products AS p ON p.id = c.product_id
LEFT JOIN ordered AS b ON b.product_id = c.product_id
LEFT JOIN given_back AS g ON g.product_id = c.product_id
WHERE g.product_id IS NULL
  AND COALESCE(b.is_close, 0) = 0
  AND p.stock_quantity <> c.stock - COALESCE(b.pieces, 0)
ORDER BY p.id
LIMIT 1001
