-- Best sellers: the products of which the most pieces were ordered in the last days. Orders that were canceled do not
-- count, nor pieces that came back.
-- used by: server.py report, GET /api/reports/best_sellers
-- returns: many
-- replica: ok
-- columns: product_id INT, name VARCHAR(255) NULL, orders BIGINT, pieces DECIMAL(33,0) NULL, sales DECIMAL(43,2) NULL,
--   stock_quantity INT NULL
-- params:
--   days   1 to 92, default 30; How many days, back from now.
--   limit  1 to 1000, default 20; How many products at the most.
-- sample: days=30, limit=20
-- sample: days=92, limit=1000
-- rows: at most 1000
-- timeout: 5s
-- allow: filesort and temporary table on orders (those of the days asked for, 92 at the most)
-- allow: full scan on orders in MySQL (where the days asked for are most of all that there are)
-- allow: full scan and filesort and temporary table on derived (what was sold in these days)
-- plan: ix_orders_placed, and the lines of each order of these days by primary key
SELECT s.product_id, p.name, s.orders, s.pieces, s.sales, p.stock_quantity
FROM (
    SELECT i.product_id, COUNT(*) AS orders, SUM(i.quantity - i.restocked) AS pieces,
        SUM(i.unit_price * (i.quantity - i.restocked)) AS sales
    FROM orders AS o FORCE INDEX (ix_orders_placed)
    STRAIGHT_JOIN order_items AS i ON i.order_id = o.id
    WHERE o.placed_at >= CURRENT_TIMESTAMP - INTERVAL %(days)s DAY
      AND o.status <> 'canceled'
    GROUP BY i.product_id
    ORDER BY pieces DESC, i.product_id
    LIMIT %(limit)s
) AS s
LEFT JOIN products AS p ON p.id = s.product_id
WHERE s.pieces > 0
ORDER BY s.pieces DESC, s.product_id
LIMIT %(limit)s
