-- The first accounts: orders that are seeded are theirs, too.
-- used by: server.py seed
-- returns: many
-- columns: id INT, email VARCHAR(255)
-- params:
--   limit  at most so many
-- sample: limit=100
-- plan: primary key
SELECT id, email
FROM users
ORDER BY id
LIMIT %(limit)s
