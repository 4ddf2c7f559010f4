-- Note that the zones of all products up to this one are there. What was complete stays complete: products that are
-- added later bring their zones with them.
-- used by: the chores, server.py purge, server.py seed
-- returns: count
-- changes: word_zones_until
-- params:
--   product_id
--   complete    whether there are no later products
-- sample: product_id=2000, complete=0
-- index: word_zones_until PRIMARY
-- plan: primary key
UPDATE word_zones_until
SET product_id = %(product_id)s,
    complete = complete OR %(complete)s
WHERE id = 1
