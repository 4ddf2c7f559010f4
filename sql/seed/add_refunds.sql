-- Add what was paid back of orders, all of one document at once.
-- used by: server.py seed
-- returns: count
-- changes: refunds
-- params:
--   rows  JSON: [[number, reason, amount, currency, created_at], …]
-- sample: rows='[["00000-00000", "requested", "9.95", "EUR", "2026-01-01 00:00:00"]]'
-- plan: uq_orders_number, uq_payments_won
INSERT INTO refunds (order_id, payment_id, reason, status, amount, currency, created_at, updated_at)
SELECT o.id, p.id, j.reason, 'succeeded', j.amount, j.currency, j.created_at, j.created_at
FROM JSON_TABLE(%(rows)s, '$[*]' COLUMNS (
    number     VARCHAR(11)    PATH '$[0]',
    reason     VARCHAR(10)    PATH '$[1]',
    amount     DECIMAL(22, 2) PATH '$[2]',
    currency   VARCHAR(3)     PATH '$[3]',
    created_at VARCHAR(19)    PATH '$[4]'
)) AS j
JOIN orders AS o ON o.number = CONVERT(j.number USING ascii) COLLATE ascii_bin
JOIN payments AS p ON p.won_by_order = o.id
