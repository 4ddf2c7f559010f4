-- An order by its number, as orders/get has it; locked until the transaction ends, before its payments and products.
-- used by: POST /api/orders/{number}/payments, POST /api/orders/{number}/cancel, POST /api/orders/{number}/fulfil,
--   POST /api/orders/{number}/refunds, POST /api/payments/{provider}/webhook, server.py chores
-- returns: one
-- params:
--   number
-- sample: number=(SELECT COALESCE(MAX(number), '00000-00000') FROM orders)
-- plan: uq_orders_number
SELECT
    o.id, o.number, o.user_id, o.token_hash, o.status, o.payment_status, o.currency, o.total, o.paid, o.refunded,
    o.item_count, o.email, o.shipping_address, o.note, o.tracking, o.placed_at, o.expires_at,
    o.expires_at <= CURRENT_TIMESTAMP AS is_over
FROM orders AS o
WHERE o.number = %(number)s
FOR UPDATE
