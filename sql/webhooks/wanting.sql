-- A webhook that wants events of this topic, or none.
-- used by: POST /api/products, PUT and DELETE /api/products/{id}, POST /api/products/{id}/stock,
--   POST /api/products/import
-- returns: one
-- columns: id INT
-- params:
--   topic
-- sample: topic='product.changed'
-- allow: full scan on webhooks (there are at most 20)
SELECT id
FROM webhooks
WHERE is_active = 1 AND JSON_CONTAINS(topics, JSON_QUOTE(%(topic)s))
ORDER BY id
LIMIT 1
