-- Each line belongs to a row of carts, and goes with it. The INSERT makes the rows of the carts that are there already; it
-- may run again. price_when_added is what a shopper saw: NULL for lines that are older than the column.
INSERT INTO carts (session_id, version, created_at, updated_at)
SELECT i.session_id, 1, MIN(i.created_at), MAX(i.updated_at)
FROM cart_items AS i
LEFT JOIN carts AS c ON c.session_id = i.session_id
WHERE c.session_id IS NULL
GROUP BY i.session_id;

ALTER TABLE cart_items
    ADD COLUMN price_when_added DECIMAL(10, 2) NULL AFTER quantity,
    DROP KEY ix_cart_items_updated,
    ADD CONSTRAINT fk_cart_items_cart FOREIGN KEY (session_id) REFERENCES carts (session_id) ON DELETE CASCADE;
