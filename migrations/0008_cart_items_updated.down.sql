ALTER TABLE cart_items DROP KEY ix_cart_items_updated;
