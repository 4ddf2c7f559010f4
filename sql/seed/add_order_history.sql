-- Add what happened to orders, all of one document at once.
-- used by: server.py seed
-- returns: count
-- changes: order_history
-- params:
--   rows  JSON: [[number, what, by_whom, at, amount], …]
-- sample: rows='[["00000-00000", "paid", "provider", "2026-01-01 00:00:00", "19.90"]]'
-- plan: uq_orders_number
INSERT INTO order_history (order_id, what, by_whom, at, amount)
SELECT o.id, j.what, j.by_whom, j.at, j.amount
FROM JSON_TABLE(%(rows)s, '$[*]' COLUMNS (
    number   VARCHAR(11)    PATH '$[0]',
    what     VARCHAR(20)    PATH '$[1]',
    by_whom  VARCHAR(10)    PATH '$[2]',
    at       VARCHAR(19)    PATH '$[3]',
    amount   DECIMAL(22, 2) PATH '$[4]'
)) AS j
JOIN orders AS o ON o.number = CONVERT(j.number USING ascii) COLLATE ascii_bin
