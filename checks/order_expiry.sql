-- Orders that hold stock and never end, because nobody has paid and expires_at is empty; and orders with an expires_at
-- although nothing is waited for any more. What to do: set expires_at to a time from now on, or to NULL.
-- used by: server.py check --data
-- returns: many
-- columns: number CHAR(11), status VARCHAR(10), payment_status VARCHAR(15), expires_at TIMESTAMP NULL
-- allow: full scan on orders (a look through all of them)
SELECT o.number, o.status, o.payment_status, o.expires_at
FROM orders AS o
WHERE (o.expires_at IS NOT NULL) <> (o.status = 'placed' AND o.payment_status IN ('unpaid', 'pending'))
ORDER BY o.id
LIMIT 1001
