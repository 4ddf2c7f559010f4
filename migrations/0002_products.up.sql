-- What the shop sells. A product is withdrawn (is_active = 0), never deleted, so that carts can say so.
--
-- Each list of products (newest, by price, by name; in all categories or in one) has its index. The index also holds
-- the columns that the list may be filtered by, so that a page is found and counted without touching the rows: id
-- comes right after the column of the order, or ORDER BY price, id would sort. in_stock stands in for
-- stock_quantity there: it changes only when the last one is sold.
--
-- Deleting a category that has products is refused (RESTRICT): nothing may lose its place unseen.
CREATE TABLE products (
    id             INT            NOT NULL AUTO_INCREMENT,
    name           VARCHAR(255)   NOT NULL,
    description    TEXT           NULL,
    price          DECIMAL(10, 2) NOT NULL,
    image_url      VARCHAR(500)   NULL,
    category_id    INT            NULL,
    stock_quantity INT            NOT NULL DEFAULT 0,
    in_stock       BOOLEAN        GENERATED ALWAYS AS (stock_quantity > 0) STORED,
    is_active      BOOLEAN        NOT NULL DEFAULT TRUE,
    created_at     TIMESTAMP      NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at     TIMESTAMP      NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    PRIMARY KEY (id),
    KEY ix_products_newest          (is_active, created_at, id, price, category_id, in_stock),
    KEY ix_products_price           (is_active, price, id, category_id, in_stock),
    KEY ix_products_name            (is_active, name, id, price, category_id, in_stock),
    KEY ix_products_category_newest (category_id, is_active, created_at, id, price, in_stock),
    KEY ix_products_category_price  (category_id, is_active, price, id, in_stock),
    KEY ix_products_category_name   (category_id, is_active, name, id, price, in_stock),
    CONSTRAINT fk_products_category FOREIGN KEY (category_id) REFERENCES categories (id) ON DELETE RESTRICT,
    CONSTRAINT ck_products_price CHECK (price > 0),
    CONSTRAINT ck_products_stock CHECK (stock_quantity >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
