-- Remove carts of guests that nobody has changed for long, some at a time, with their lines (ON DELETE CASCADE).
-- used by: server.py purge, server.py chores
-- returns: count
-- changes: carts
-- params:
--   age    seconds
--   limit  at most so many carts
-- sample: age=2592000, limit=500
-- index: carts ix_carts_guests
-- plan: ix_carts_guests; the lines by uq_cart_items_session_product. Without the hint MySQL reads and sorts all carts where
--       most are old; for MariaDB it is a comment.
DELETE /*+ INDEX(carts ix_carts_guests) */ FROM carts
WHERE user_id IS NULL
  AND updated_at <= CURRENT_TIMESTAMP - INTERVAL %(age)s SECOND
ORDER BY user_id, updated_at
LIMIT %(limit)s
