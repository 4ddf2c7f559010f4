-- What runs out of stock: products on sale that last only some days more, if they go on selling as in the last days; those
-- that are sold out stand first.
-- used by: server.py report, GET /api/reports/running_out
-- returns: many
-- replica: ok
-- columns: product_id INT, name VARCHAR(255), stock_quantity INT, sold DECIMAL(33,0) NULL, days_left DECIMAL(12,1) NULL
-- params:
--   days    1 to 92, default 30; Of how many days, back from now, the sales count.
--   within  0 to 366, default 14; Only what lasts this many days more, or less.
--   limit   1 to 1000, default 100; How many products at the most.
-- sample: days=30, within=14, limit=100
-- rows: at most 1000
-- timeout: 5s
-- allow: filesort and temporary table on orders (those of the days asked for, 92 at the most)
-- allow: full scan on orders in MySQL (where the days asked for are most of all that there are)
-- allow: full scan and filesort and temporary table on derived (what was sold in these days)
-- allow: filesort and temporary table on products (what was sold in these days)
-- plan: as best_sellers, then products by primary key
SELECT p.id AS product_id, p.name, p.stock_quantity, s.pieces AS sold,
    CAST(p.stock_quantity * %(days)s / s.pieces AS DECIMAL(12, 1)) AS days_left
FROM (
    SELECT i.product_id, SUM(i.quantity - i.restocked) AS pieces
    FROM orders AS o FORCE INDEX (ix_orders_placed)
    STRAIGHT_JOIN order_items AS i ON i.order_id = o.id
    WHERE o.placed_at >= CURRENT_TIMESTAMP - INTERVAL %(days)s DAY
      AND o.status <> 'canceled'
    GROUP BY i.product_id
    HAVING pieces > 0
) AS s
JOIN products AS p ON p.id = s.product_id AND p.is_active = 1
WHERE p.stock_quantity * %(days)s <= s.pieces * %(within)s
ORDER BY p.stock_quantity / s.pieces, p.id
LIMIT %(limit)s
