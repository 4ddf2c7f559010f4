-- The lines of all carts. Whoever knows a session id has its cart, so ids are compared byte by byte (ascii_bin): under
-- the default collation aA and Aa would be one cart. The id is a BIGINT, because an upsert that only adds to a line
-- uses one up as well.
--
-- Deleting a product that lies in a cart is refused (RESTRICT): products are withdrawn, and the cart says so.
CREATE TABLE cart_items (
    id         BIGINT       NOT NULL AUTO_INCREMENT,
    session_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    product_id INT          NOT NULL,
    quantity   INT          NOT NULL DEFAULT 1,
    created_at TIMESTAMP    NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP    NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    PRIMARY KEY (id),
    UNIQUE KEY uq_cart_items_session_product (session_id, product_id),
    CONSTRAINT fk_cart_items_product FOREIGN KEY (product_id) REFERENCES products (id) ON DELETE RESTRICT,
    CONSTRAINT ck_cart_items_quantity CHECK (quantity > 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
