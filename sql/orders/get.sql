-- An order by its number, without its lines; with what tells whether somebody may see it.
-- used by: GET /api/orders/{number}
-- returns: one
-- params:
--   number
-- sample: number=(SELECT COALESCE(MAX(number), '00000-00000') FROM orders)
-- plan: uq_orders_number
SELECT
    o.id, o.number, o.user_id, o.token_hash, o.status, o.payment_status, o.currency, o.total, o.paid, o.refunded,
    o.item_count, o.email, o.shipping_address, o.note, o.tracking, o.placed_at, o.expires_at
FROM orders AS o
WHERE o.number = %(number)s
