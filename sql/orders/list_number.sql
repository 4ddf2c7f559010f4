-- The order with this number, if the filters fit.
-- note: written from sql/orders/list.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/orders, GET /api/orders/export
-- returns: many
-- like: orders/list
-- params:  NULL means "do not filter on this"
--   number          exact
--   status          exact
--   payment_status  exact
--   from_time       placed then or later
--   to_time         placed then or earlier
--   after_id        the last order seen, with after_time; the page begins behind it
--   after_time      when that one was placed
--   limit           rows on the page
-- sample: number=(SELECT MAX(number) FROM orders), limit=21
-- sample: number=(SELECT MAX(number) FROM orders WHERE payment_status = 'paid'), limit=21, payment_status='paid'
-- allow: filesort on derived (the rows of one page)
-- index: orders PRIMARY uq_orders_number
-- reads: at most 5
-- rows: at most 1
-- plan: uq_orders_number
SELECT
    o.id, o.number, o.status, o.payment_status, o.currency, o.total, o.paid, o.refunded, o.item_count, o.email,
    o.shipping_address, o.note, o.tracking, o.placed_at, o.expires_at
FROM (
    SELECT id, placed_at
    FROM orders
    WHERE number = %(number)s
      AND (%(status)s IS NULL OR status = %(status)s)
      AND (%(payment_status)s IS NULL OR payment_status = %(payment_status)s)
      AND (%(from_time)s IS NULL OR placed_at >= %(from_time)s)
      AND (%(to_time)s IS NULL OR placed_at <= %(to_time)s)
      AND (%(after_id)s IS NULL
           OR (placed_at <= %(after_time)s AND (placed_at < %(after_time)s OR id < %(after_id)s)))
    ORDER BY placed_at DESC, id DESC
    LIMIT %(limit)s
) AS page
JOIN orders AS o ON o.id = page.id
ORDER BY page.placed_at DESC, page.id DESC
