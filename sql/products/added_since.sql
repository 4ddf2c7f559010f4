-- The products that this transaction has just added, as they are stored. The ids of one INSERT … SELECT need not follow
-- one another (innodb_autoinc_lock_mode = 2): others add meanwhile. But theirs are told of in the audit trail as soon
-- as they can be seen, and ours are not yet.
-- used by: POST /api/products/import
-- returns: many
-- params:
--   first_id  the first of them
-- sample: first_id=(SELECT MAX(id) FROM products)
-- plan: products by primary key from there on, ix_audit_entries_entity
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, p.stock_quantity, p.is_active
FROM products AS p
WHERE p.id >= %(first_id)s
  AND NOT EXISTS (
      SELECT 1
      FROM audit_entries AS a
      WHERE a.entity = 'product'
        AND a.entity_id = p.id
  )
ORDER BY p.id
