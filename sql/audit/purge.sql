-- Remove entries of the audit trail, after they were archived. The account that serves has no right to do this.
-- used by: server.py purge
-- returns: count
-- changes: audit_entries
-- params:
--   ids  of the entries
-- sample: ids=(SELECT id FROM audit_entries ORDER BY id LIMIT 500)
-- plan: primary key
DELETE FROM audit_entries
WHERE id IN %(ids)s
