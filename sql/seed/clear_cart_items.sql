-- Remove the lines of all carts, before the catalogue is replaced.
-- used by: server.py seed
-- returns: count
-- allow: full scan (all of them go)
DELETE FROM cart_items
