-- So that `server.py purge` finds the carts that nobody has touched for long.
ALTER TABLE cart_items ADD KEY ix_cart_items_updated (updated_at, id);
