-- The migrations that this database has seen.
-- used by: GET /api/ready, and python3 server.py migrate
-- returns: many
-- columns: version INT, name VARCHAR(255), checksum CHAR(64), finished_at TIMESTAMP NULL
-- allow: full scan on schema_migrations (a row for each file in migrations/)
-- plan: the whole table, which has a row for each file in migrations/
SELECT version, name, checksum, finished_at
FROM schema_migrations
ORDER BY version
