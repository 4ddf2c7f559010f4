-- The oldest entries of the audit trail behind one of them, to be archived, each with whether it is old enough.
-- used by: server.py purge, server.py chores
-- returns: many
-- columns: id BIGINT, created_at TIMESTAMP, user_id INT, user_name VARCHAR(50), entity VARCHAR(20), entity_id INT,
--   action VARCHAR(20), before_state MEDIUMTEXT NULL, after_state MEDIUMTEXT NULL, is_old BIGINT NULL
-- params:
--   after_id  0 at first
--   age       seconds
--   limit     rows
-- sample: after_id=0, age=63072000, limit=500
-- plan: primary key
SELECT
    e.id, e.created_at, e.user_id, e.user_name, e.entity, e.entity_id, e.action, e.before_state, e.after_state,
    e.created_at <= CURRENT_TIMESTAMP - INTERVAL %(age)s SECOND AS is_old
FROM audit_entries AS e
WHERE e.id > %(after_id)s
ORDER BY e.id
LIMIT %(limit)s
