-- Remove the lines of all carts, before the catalogue is made anew.
-- used by: server.py seed
-- returns: count
DELETE FROM cart_items
