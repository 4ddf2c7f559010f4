-- Add the payments of orders, all of one document at once.
-- used by: server.py seed
-- returns: count
-- changes: payments
-- params:
--   rows  JSON: [[number, status, amount, currency, created_at], …]
-- sample: rows='[["00000-00000", "captured", "19.90", "EUR", "2026-01-01 00:00:00"]]'
-- plan: uq_orders_number
INSERT INTO payments (order_id, provider, status, amount, currency, created_at, updated_at)
SELECT o.id, 'manual', j.status, j.amount, j.currency, j.created_at, j.created_at
FROM JSON_TABLE(%(rows)s, '$[*]' COLUMNS (
    number     VARCHAR(11)    PATH '$[0]',
    status     VARCHAR(12)    PATH '$[1]',
    amount     DECIMAL(22, 2) PATH '$[2]',
    currency   VARCHAR(3)     PATH '$[3]',
    created_at VARCHAR(19)    PATH '$[4]'
)) AS j
JOIN orders AS o ON o.number = CONVERT(j.number USING ascii) COLLATE ascii_bin
