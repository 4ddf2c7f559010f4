-- What was done to the catalogue, the newest first; one page.
-- used by: GET /api/audit
-- returns: many
-- params:  NULL means "do not filter on this"
--   entity     product or category
--   entity_id  its id
--   limit      rows on the page
--   offset     rows to skip
-- plan: primary key backwards, or ix_audit_entries_entity; the states are read for the page's rows only
SELECT
    a.id, a.created_at, a.user_id, a.user_name, a.entity, a.entity_id, a.action, a.before_state, a.after_state
FROM (
    SELECT id
    FROM audit_entries
    WHERE (%(entity)s IS NULL OR entity = %(entity)s)
      AND (%(entity_id)s IS NULL OR entity_id = %(entity_id)s)
    ORDER BY id DESC
    LIMIT %(limit)s OFFSET %(offset)s
) AS page
JOIN audit_entries AS a ON a.id = page.id
ORDER BY a.id DESC
