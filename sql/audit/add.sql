-- Record what one account did to the catalogue or to an order, all of one document at once. The states come as text in the
-- JSON, and are stored as that text: MariaDB's JSON_TABLE gives no objects.
-- used by: PUT and DELETE /api/products/{id}, POST /api/products, POST /api/products/{id}/stock,
--   POST /api/products/import, POST /api/categories, PUT and DELETE /api/categories/{id},
--   POST /api/orders/{number}/fulfil
-- returns: count
-- changes: audit_entries
-- params:
--   user_id    who
--   user_name  what the account is called now
--   rows       JSON: [[entity, entity_id, action, before, after], …]
-- sample: user_id=1, user_name='alice', rows='[["product", 1, "update", "{}", "{}"]]'
-- allow: filesort on document (the entries of one request)
INSERT INTO audit_entries (user_id, user_name, entity, entity_id, action, before_state, after_state)
SELECT %(user_id)s, %(user_name)s, j.entity, j.entity_id, j.action, j.before_state, j.after_state
FROM JSON_TABLE(%(rows)s, '$[*]' COLUMNS (
    position     FOR ORDINALITY,
    entity       VARCHAR(20) PATH '$[0]',
    entity_id    INT         PATH '$[1]',
    action       VARCHAR(20) PATH '$[2]',
    before_state LONGTEXT    PATH '$[3]',
    after_state  LONGTEXT    PATH '$[4]'
)) AS j
ORDER BY j.position
