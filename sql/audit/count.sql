-- How many entries a list of the audit trail has.
-- used by: GET /api/audit
-- returns: one
-- replica: ok
-- columns: total BIGINT
-- params:  NULL means "do not filter on this"
--   entity     product, category or order
--   entity_id  its id
--   number     of an order
-- sample:
-- sample: entity='product'
-- sample: entity='product', entity_id=(SELECT MAX(entity_id) FROM audit_entries WHERE entity = 'product')
-- sample: number=(SELECT MAX(number) FROM orders)
-- allow: full scan on audit_entries (it counts all of them, for administrators)
-- index: audit_entries ix_audit_entries_entity; orders uq_orders_number
-- plan: ix_audit_entries_entity covers it
SELECT COUNT(*) AS total
FROM audit_entries
WHERE (%(entity)s IS NULL OR entity = %(entity)s)
  AND (%(entity_id)s IS NULL OR entity_id = %(entity_id)s)
  AND (%(number)s IS NULL
       OR (entity = 'order' AND entity_id = (SELECT o.id FROM orders AS o WHERE o.number = %(number)s)))
