-- Abandoned carts: by the day on which they were changed last, how many there are, and what they hold at the prices of
-- today. Only what is on sale counts. Whose they are is not shown: whoever knows the id of a cart has it.
-- used by: server.py report, GET /api/reports/abandoned_carts
-- returns: many
-- replica: ok
-- columns: day DATE NULL, carts BIGINT, of_accounts BIGINT, pieces DECIMAL(32,0) NULL, total DECIMAL(42,2) NULL
-- params:
--   hours  1 to 720, default 24; For how many hours nobody has changed them, at least.
--   days   1 to 366, default 30; How many days, back from now.
-- sample: hours=24, days=30
-- rows: at most 367
-- timeout: 5s
-- allow: full scan and filesort and temporary table on carts (server.py purge removes old ones)
-- allow: full scan and filesort and temporary table on cart_items (of these)
-- allow: full scan and filesort on products in MySQL (where there are few)
-- plan: all carts, then the lines of each by uq_cart_items_session_product, and products by primary key
SELECT DATE(c.updated_at) AS day, COUNT(DISTINCT c.session_id) AS carts, COUNT(DISTINCT c.user_id) AS of_accounts,
    SUM(i.quantity) AS pieces, SUM(i.quantity * p.price) AS total
FROM carts AS c
STRAIGHT_JOIN cart_items AS i ON i.session_id = c.session_id
STRAIGHT_JOIN products AS p ON p.id = i.product_id AND p.is_active = 1
WHERE c.updated_at <= CURRENT_TIMESTAMP - INTERVAL %(hours)s HOUR
  AND c.updated_at > CURRENT_TIMESTAMP - INTERVAL %(days)s DAY
GROUP BY DATE(c.updated_at)
ORDER BY day
LIMIT 367
