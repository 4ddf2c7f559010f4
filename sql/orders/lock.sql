-- An order by its number, as orders/get has it; locked until the transaction ends, before its payments and products.
-- used by: POST /api/orders/{number}/payments, POST /api/orders/{number}/cancel, POST /api/orders/{number}/fulfil,
--   POST /api/orders/{number}/refunds, POST /api/payments/{provider}/webhook, server.py chores
-- returns: one
-- columns: id INT, number CHAR(11), user_id INT NULL, token_hash CHAR(64) NULL, status VARCHAR(10),
--   payment_status VARCHAR(15), currency CHAR(3), total DECIMAL(22,2), paid DECIMAL(22,2), refunded DECIMAL(22,2),
--   item_count BIGINT, email VARCHAR(255) NULL, shipping_address TEXT NULL, note TEXT NULL, tracking VARCHAR(200) NULL,
--   placed_at TIMESTAMP, expires_at TIMESTAMP NULL, is_over BIGINT NULL
-- params:
--   number
-- sample: number=(SELECT COALESCE(MAX(number), '00000-00000') FROM orders)
-- index: orders uq_orders_number
-- reads: at most 5
-- plan: uq_orders_number
SELECT
    o.id, o.number, o.user_id, o.token_hash, o.status, o.payment_status, o.currency, o.total, o.paid, o.refunded,
    o.item_count, o.email, o.shipping_address, o.note, o.tracking, o.placed_at, o.expires_at,
    o.expires_at <= CURRENT_TIMESTAMP AS is_over
FROM orders AS o
WHERE o.number = %(number)s
FOR UPDATE
