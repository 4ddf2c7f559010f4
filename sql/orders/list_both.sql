-- The orders in one status and one payment status, the newest first; one page.
-- note: written from sql/orders/list.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/orders, GET /api/orders/export
-- returns: many
-- replica: ok
-- like: orders/list
-- params:  NULL means "do not filter on this"
--   status          exact
--   payment_status  exact
--   from_time       placed then or later
--   to_time         placed then or earlier
--   after_id        the last order seen, with after_time; the page begins behind it
--   after_time      when that one was placed
--   limit           rows on the page
-- sample: status='placed', payment_status='paid', limit=21
-- sample: status='placed', payment_status='paid', limit=21, after_id=(SELECT MAX(id) - 4 FROM orders),
--   after_time=(SELECT placed_at FROM orders WHERE id = (SELECT MAX(id) - 4 FROM orders)),
--   from_time=(SELECT MIN(placed_at) FROM orders), to_time=(SELECT MAX(placed_at) FROM orders)
-- sample: status='placed', payment_status='paid', limit=21, after_id=5000,
--   after_time=(SELECT placed_at FROM orders WHERE id >= 5000 ORDER BY id LIMIT 1)
-- sample: status='placed', payment_status='paid', limit=21, after_id=5000,
--   after_time=(SELECT placed_at FROM orders WHERE id >= 5000 ORDER BY id LIMIT 1),
--   from_time=(SELECT placed_at FROM orders WHERE id >= 4000 ORDER BY id LIMIT 1)
-- sample: status='placed', payment_status='paid', limit=21,
--   from_time=(SELECT placed_at FROM orders WHERE id >= 4000 ORDER BY id LIMIT 1),
--   to_time=(SELECT placed_at FROM orders WHERE id >= 5000 ORDER BY id LIMIT 1)
-- sample: status='fulfilled', payment_status='unpaid', limit=21
-- allow: filesort on derived (the rows of one page)
-- index: orders PRIMARY ix_orders_both
-- reads: at most 100
-- rows: at most 21
-- plan: ix_orders_both; see list
SELECT
    o.id, o.number, o.status, o.payment_status, o.currency, o.total, o.paid, o.refunded, o.item_count, o.email,
    o.shipping_address, o.note, o.tracking, o.placed_at, o.expires_at
FROM (
    SELECT id, placed_at
    FROM orders FORCE INDEX (ix_orders_both)
    WHERE status = %(status)s
      AND payment_status = %(payment_status)s
      AND (%(from_time)s IS NULL OR placed_at >= %(from_time)s)
      AND (%(to_time)s IS NULL OR placed_at <= %(to_time)s)
      AND (%(after_id)s IS NULL
           OR (placed_at <= %(after_time)s AND (placed_at < %(after_time)s OR id < %(after_id)s)))
    ORDER BY placed_at DESC, id DESC
    LIMIT %(limit)s
) AS page
JOIN orders AS o ON o.id = page.id
ORDER BY page.placed_at DESC, page.id DESC
