-- Orders that still have a person although the account is gone (neither an account nor the token of a guest opens them).
-- What to do: set email, shipping_address and note to NULL, as sql/orders/forget.sql does.
-- used by: server.py check --data
-- returns: many
-- columns: number CHAR(11), placed_at TIMESTAMP
-- allow: filesort on orders (those without an account)
-- plan: ix_orders_user, the orders without an account
SELECT o.number, o.placed_at
FROM orders AS o
WHERE o.user_id IS NULL
  AND o.token_hash IS NULL
  AND (o.email IS NOT NULL OR o.shipping_address IS NOT NULL OR o.note IS NOT NULL)
ORDER BY o.id
LIMIT 1001
