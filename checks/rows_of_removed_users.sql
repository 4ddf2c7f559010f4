-- Sessions, carts and password resets of accounts that are not there. What to do: delete these rows at once (whoever has
-- such a token is let in as nobody), and see where a foreign key is gone.
-- used by: server.py check --data
-- returns: many
-- columns: found_in VARCHAR(15), user_id INT NULL, found BIGINT
-- allow: full scan and temporary table and filesort (a look through an index of each of the three)
SELECT found_in, user_id, COUNT(*) AS found
FROM (
    SELECT 'sessions' AS found_in, s.user_id
    FROM sessions AS s
    LEFT JOIN users AS u ON u.id = s.user_id
    WHERE u.id IS NULL
    UNION ALL
    SELECT 'carts', c.user_id
    FROM carts AS c
    LEFT JOIN users AS u ON u.id = c.user_id
    WHERE c.user_id IS NOT NULL
      AND u.id IS NULL
    UNION ALL
    SELECT 'password_resets', r.user_id
    FROM password_resets AS r
    LEFT JOIN users AS u ON u.id = r.user_id
    WHERE u.id IS NULL
) AS orphans
GROUP BY found_in, user_id
ORDER BY found_in, user_id
LIMIT 1001
