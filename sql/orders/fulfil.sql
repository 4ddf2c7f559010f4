-- Say that an order was sent. Whether it may be was looked at under orders/lock.
-- used by: POST /api/orders/{number}/fulfil
-- returns: count
-- changes: orders
-- params:
--   id
--   tracking  what the carrier calls the parcel, or NULL
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM orders), tracking='1Z 999'
-- index: orders PRIMARY
-- plan: primary key
UPDATE orders
SET status = 'fulfilled', tracking = %(tracking)s, expires_at = NULL
WHERE id = %(id)s
