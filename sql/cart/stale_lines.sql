-- Lines that nobody has changed for long, the oldest first, some at a time. Their carts may have newer lines too.
-- used by: server.py purge
-- returns: many
-- params:
--   age          seconds
--   after_time   the updated_at of the last line seen, or NULL for the beginning
--   after_id     its id
--   limit        at most so many
-- sample: age=2592000, limit=1000
-- sample: age=2592000, limit=1000,
--   after_time=(SELECT MIN(updated_at) FROM cart_items), after_id=5000
-- plan: ix_cart_items_updated; without FORCE INDEX, MySQL reads and sorts all lines for each batch where many are old
SELECT id, session_id, updated_at
FROM cart_items FORCE INDEX (ix_cart_items_updated)
WHERE updated_at <= CURRENT_TIMESTAMP - INTERVAL %(age)s SECOND
  AND (%(after_time)s IS NULL
       OR (updated_at >= %(after_time)s AND (updated_at > %(after_time)s OR id > %(after_id)s)))
ORDER BY updated_at, id
LIMIT %(limit)s
