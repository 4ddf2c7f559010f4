-- Sales by day: what was ordered on each day, and what was paid of it by now. Orders that were canceled do not count; days
-- without orders are left out. Days are in UTC.
-- used by: server.py report, GET /api/reports/sales_by_day
-- returns: many
-- replica: ok
-- columns: day DATE NULL, currency CHAR(3), orders BIGINT, pieces DECIMAL(41,0) NULL, sales DECIMAL(44,2) NULL,
--   received DECIMAL(45,2) NULL
-- params:
--   until  day, default none; The last day, such as 2026-01-31; without it, today.
--   days   1 to 366, default 30; How many days, back from the last one.
-- sample: until=NULL, days=30
-- sample: until='2026-01-31', days=366
-- rows: at most 1000
-- timeout: 5s
-- allow: filesort and temporary table on orders (those of the days asked for, 366 at the most)
-- allow: full scan on orders (where the days asked for are most of all that there are)
-- plan: ix_orders_placed, and the row of each order of these days
SELECT DATE(o.placed_at) AS day, o.currency, COUNT(*) AS orders, SUM(o.item_count) AS pieces, SUM(o.total) AS sales,
    SUM(o.paid - o.refunded) AS received
FROM orders AS o
WHERE o.placed_at >= CAST(COALESCE(%(until)s, CURRENT_DATE) AS DATE) - INTERVAL %(days)s - 1 DAY
  AND o.placed_at < CAST(COALESCE(%(until)s, CURRENT_DATE) AS DATE) + INTERVAL 1 DAY
  AND o.status <> 'canceled'
GROUP BY DATE(o.placed_at), o.currency
ORDER BY day, o.currency
LIMIT 1000
