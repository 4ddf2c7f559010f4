-- All orders, the newest first; one page.
-- note: written from sql/orders/list.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/orders, GET /api/orders/export
-- returns: many
-- replica: ok
-- columns: id INT, number CHAR(11), status VARCHAR(10), payment_status VARCHAR(15), currency CHAR(3),
--   total DECIMAL(22,2), paid DECIMAL(22,2), refunded DECIMAL(22,2), item_count BIGINT, email VARCHAR(255) NULL,
--   shipping_address TEXT NULL, note TEXT NULL, tracking VARCHAR(200) NULL, placed_at TIMESTAMP,
--   expires_at TIMESTAMP NULL
-- params:  NULL means "do not filter on this"
--   from_time       placed then or later
--   to_time         placed then or earlier
--   after_id        the last order seen, with after_time; the page begins behind it
--   after_time      when that one was placed
--   limit           rows on the page
-- sample: limit=21
-- sample: limit=21, after_id=(SELECT MAX(id) - 4 FROM orders),
--   after_time=(SELECT placed_at FROM orders WHERE id = (SELECT MAX(id) - 4 FROM orders)),
--   from_time=(SELECT MIN(placed_at) FROM orders), to_time=(SELECT MAX(placed_at) FROM orders)
-- sample: limit=21, after_id=5000,
--   after_time=(SELECT placed_at FROM orders WHERE id >= 5000 ORDER BY id LIMIT 1)
-- sample: limit=21, after_id=5000,
--   after_time=(SELECT placed_at FROM orders WHERE id >= 5000 ORDER BY id LIMIT 1),
--   from_time=(SELECT placed_at FROM orders WHERE id >= 4000 ORDER BY id LIMIT 1)
-- sample: limit=21,
--   from_time=(SELECT placed_at FROM orders WHERE id >= 4000 ORDER BY id LIMIT 1),
--   to_time=(SELECT placed_at FROM orders WHERE id >= 5000 ORDER BY id LIMIT 1)
-- allow: full scan on orders in MariaDB (ix_orders_placed backwards, until the page is full)
-- allow: filesort on derived (the rows of one page)
-- index: orders PRIMARY ix_orders_placed
-- rows: at most 21
-- plan: ix_orders_placed covers the page's ids, and the rows are joined to them. The filters by status are files of their
--       own, list_status, list_payment_status and list_both, each with an index that covers it. With all of them in one
--       file no index covers, and MariaDB reads every row of a status up to the cursor (0.9 s at a million orders). Each
--       index is forced: MySQL would take this one for all, from the newest order on (1.1 s).
SELECT
    o.id, o.number, o.status, o.payment_status, o.currency, o.total, o.paid, o.refunded, o.item_count, o.email,
    o.shipping_address, o.note, o.tracking, o.placed_at, o.expires_at
FROM (
    SELECT id, placed_at
    FROM orders FORCE INDEX (ix_orders_placed)
    WHERE (%(from_time)s IS NULL OR placed_at >= %(from_time)s)
      AND (%(to_time)s IS NULL OR placed_at <= %(to_time)s)
      AND (%(after_id)s IS NULL
           OR (placed_at <= %(after_time)s AND (placed_at < %(after_time)s OR id < %(after_id)s)))
    ORDER BY placed_at DESC, id DESC
    LIMIT %(limit)s
) AS page
JOIN orders AS o ON o.id = page.id
ORDER BY page.placed_at DESC, page.id DESC
