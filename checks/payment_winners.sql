-- Orders that two payments or more have been captured for, or are about to be. What to do: give the money of all but one
-- back, and set their status to late; then see where the key uq_payments_won is gone.
-- used by: server.py check --data
-- returns: many
-- columns: order_id INT, winners BIGINT
-- allow: full scan and temporary table and filesort on payments (a look through all of them)
SELECT p.order_id, COUNT(*) AS winners
FROM payments AS p
WHERE p.status IN ('capturing', 'captured')
GROUP BY p.order_id
HAVING COUNT(*) > 1
ORDER BY p.order_id
LIMIT 1001
