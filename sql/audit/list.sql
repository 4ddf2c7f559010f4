-- What was done to the catalogue and to orders, the newest first; one page.
-- used by: GET /api/audit
-- returns: many
-- replica: ok
-- columns: id BIGINT, created_at TIMESTAMP, user_id INT, user_name VARCHAR(50), entity VARCHAR(20), entity_id INT,
--   action VARCHAR(20), before_state MEDIUMTEXT NULL, after_state MEDIUMTEXT NULL
-- params:  NULL means "do not filter on this"
--   entity     product, category or order
--   entity_id  its id
--   number     of an order
--   limit      rows on the page
--   offset     rows to skip
-- sample: limit=21, offset=0
-- sample: entity='product', limit=21, offset=0
-- sample: entity='product', limit=21, offset=10000
-- sample: limit=21, offset=0,
--   entity='product', entity_id=(SELECT MAX(entity_id) FROM audit_entries WHERE entity = 'product')
-- sample: limit=21, offset=0, number=(SELECT MAX(number) FROM orders)
-- allow: full scan on audit_entries (the primary key backwards, until the page is full)
-- allow: filesort on audit_entries (far down the list of one kind: its index entries, 0.7 s for a million)
-- allow: filesort on derived (the rows of one page)
-- allow: temporary table on derived in MySQL (the same)
-- index: audit_entries PRIMARY ix_audit_entries_entity; orders uq_orders_number
-- rows: at most 21
-- plan: primary key backwards, or ix_audit_entries_entity; the states are read for the page's rows only
SELECT
    a.id, a.created_at, a.user_id, a.user_name, a.entity, a.entity_id, a.action, a.before_state, a.after_state
FROM (
    SELECT id
    FROM audit_entries
    WHERE (%(entity)s IS NULL OR entity = %(entity)s)
      AND (%(entity_id)s IS NULL OR entity_id = %(entity_id)s)
      AND (%(number)s IS NULL
           OR (entity = 'order' AND entity_id = (SELECT o.id FROM orders AS o WHERE o.number = %(number)s)))
    ORDER BY id DESC
    LIMIT %(limit)s OFFSET %(offset)s
) AS page
JOIN audit_entries AS a ON a.id = page.id
ORDER BY a.id DESC
