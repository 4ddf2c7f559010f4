ALTER TABLE cart_items
    DROP FOREIGN KEY fk_cart_items_cart,
    ADD KEY ix_cart_items_updated (updated_at, id),
    DROP COLUMN price_when_added;
