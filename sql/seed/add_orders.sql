-- Add orders, all of one document at once. Their lines, history and payments follow by the files beside this one.
-- used by: server.py seed
-- returns: count
-- changes: orders
-- params:
--   rows  JSON: [[number, user_id, token_hash, status, payment_status, currency, total, paid, refunded, item_count,
--         email, shipping_address, placed_at, expires_at], …]
-- sample: rows='[["00000-00000", null, null, "fulfilled", "paid", "EUR", "19.90", "19.90", "0.00", 1, "a@example.com",
--   null, "2026-01-01 00:00:00", null]]'
INSERT INTO orders (
    number, user_id, token_hash, status, payment_status, currency, total, paid, refunded, item_count,
    email, shipping_address, placed_at, expires_at
)
SELECT
    j.number, j.user_id, j.token_hash, j.status, j.payment_status, j.currency, j.total, j.paid, j.refunded,
    j.item_count, j.email, j.shipping_address, j.placed_at, j.expires_at
FROM JSON_TABLE(%(rows)s, '$[*]' COLUMNS (
    number           VARCHAR(11)    PATH '$[0]',
    user_id          INT            PATH '$[1]',
    token_hash       VARCHAR(64)    PATH '$[2]',
    status           VARCHAR(10)    PATH '$[3]',
    payment_status   VARCHAR(15)    PATH '$[4]',
    currency         VARCHAR(3)     PATH '$[5]',
    total            DECIMAL(22, 2) PATH '$[6]',
    paid             DECIMAL(22, 2) PATH '$[7]',
    refunded         DECIMAL(22, 2) PATH '$[8]',
    item_count       INT            PATH '$[9]',
    email            VARCHAR(255)   PATH '$[10]',
    shipping_address TEXT           PATH '$[11]',
    placed_at        VARCHAR(19)    PATH '$[12]',
    expires_at       VARCHAR(19)    PATH '$[13]'
)) AS j
