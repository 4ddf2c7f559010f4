-- An order by its number, without its lines; with what tells whether somebody may see it.
-- used by: GET /api/orders/{number}
-- returns: one
-- columns: id INT, number CHAR(11), user_id INT NULL, token_hash CHAR(64) NULL, status VARCHAR(10),
--   payment_status VARCHAR(15), currency CHAR(3), total DECIMAL(22,2), paid DECIMAL(22,2), refunded DECIMAL(22,2),
--   item_count BIGINT, email VARCHAR(255) NULL, shipping_address TEXT NULL, note TEXT NULL, tracking VARCHAR(200) NULL,
--   placed_at TIMESTAMP, expires_at TIMESTAMP NULL
-- params:
--   number
-- sample: number=(SELECT COALESCE(MAX(number), '00000-00000') FROM orders)
-- index: orders uq_orders_number
-- reads: at most 5
-- plan: uq_orders_number
SELECT
    o.id, o.number, o.user_id, o.token_hash, o.status, o.payment_status, o.currency, o.total, o.paid, o.refunded,
    o.item_count, o.email, o.shipping_address, o.note, o.tracking, o.placed_at, o.expires_at
FROM orders AS o
WHERE o.number = %(number)s
