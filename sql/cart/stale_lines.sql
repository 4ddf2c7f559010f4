-- Lines that nobody has touched for long, the oldest first, some at a time; their carts may have younger ones.
-- used by: server.py purge
-- returns: many
-- params:
--   age          seconds
--   after_time   the updated_at of the last line seen, or NULL for the beginning
--   after_id     its id
--   limit        at most so many
-- plan: ix_cart_items_updated
SELECT id, session_id, updated_at
FROM cart_items
WHERE updated_at <= CURRENT_TIMESTAMP - INTERVAL %(age)s SECOND
  AND (%(after_time)s IS NULL
       OR (updated_at >= %(after_time)s AND (updated_at > %(after_time)s OR id > %(after_id)s)))
ORDER BY updated_at, id
LIMIT %(limit)s
