-- Orders whose history does not tell what their row says: fulfilled once if it is, canceled or expired once if it is,
-- paid if something was. What to do: GET /api/audit?order=… says what administrators did; correct status, or add the row
-- to order_history that is missing.
-- used by: server.py check --data
-- returns: many
-- columns: number CHAR(11) NULL, status VARCHAR(10) NULL, paid DECIMAL(22,2) NULL, fulfilled DECIMAL(23,0),
--   canceled DECIMAL(23,0), paid_events DECIMAL(23,0)
-- allow: full scan and filesort and temporary table on orders (a look through all of them)
-- plan: ix_order_history_order
SELECT MAX(o.number) AS number, MAX(o.status) AS status, MAX(o.paid) AS paid,
    COALESCE(SUM(h.what = 'fulfilled'), 0) AS fulfilled,
    COALESCE(SUM(h.what IN ('canceled', 'expired')), 0) AS canceled,
    COALESCE(SUM(h.what = 'paid'), 0) AS paid_events
FROM orders AS o
LEFT JOIN order_history AS h ON h.order_id = o.id
GROUP BY o.id
HAVING fulfilled <> (MAX(o.status) = 'fulfilled')
    OR canceled <> (MAX(o.status) = 'canceled')
    OR paid_events <> (MAX(o.paid) > 0)
ORDER BY o.id
LIMIT 1001
