-- The lines of an order, as they were bought: later changes of the products change nothing here, and so there is no foreign
-- key to them. restocked says how many pieces have come back into the stock, so that none comes back twice; no statement
-- changes anything else of a line.
CREATE TABLE order_items (
    order_id   INT            NOT NULL,
    product_id INT            NOT NULL,
    name       VARCHAR(255)   NOT NULL,
    unit_price DECIMAL(10, 2) NOT NULL,
    quantity   INT            NOT NULL,
    restocked  INT            NOT NULL DEFAULT 0,
    PRIMARY KEY (order_id, product_id),
    CONSTRAINT fk_order_items_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE,
    CONSTRAINT ck_order_items_quantity CHECK (quantity > 0),
    CONSTRAINT ck_order_items_restocked CHECK (restocked >= 0 AND restocked <= quantity)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
