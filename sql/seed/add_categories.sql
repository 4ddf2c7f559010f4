-- Add categories, all of one document at once.
-- used by: server.py seed
-- returns: count
-- changes: categories
-- params:
--   rows  JSON: [[id, name, description], …]
-- sample: rows='[[1, "Lamps", null]]'
INSERT INTO categories (id, name, description, created_at)
SELECT j.id, j.name, j.description, '2024-01-01 00:00:00'
FROM JSON_TABLE(%(rows)s, '$[*]' COLUMNS (
    id          INT          PATH '$[0]',
    name        VARCHAR(100) PATH '$[1]',
    description TEXT         PATH '$[2]'
)) AS j
