-- Remove the lines of all carts, before the catalogue is replaced.
-- used by: server.py seed
-- returns: count
-- changes: cart_items
-- allow: full scan (all of them go)
DELETE FROM cart_items
