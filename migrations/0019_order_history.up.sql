-- What happened to an order, and on whose side: customer, admin, provider or shop. Who it was, by name, is in the audit
-- trail; an order keeps no person.
CREATE TABLE order_history (
    id       BIGINT         NOT NULL AUTO_INCREMENT,
    order_id INT            NOT NULL,
    at       TIMESTAMP      NOT NULL DEFAULT CURRENT_TIMESTAMP,
    what     VARCHAR(20)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    by_whom  VARCHAR(10)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    amount   DECIMAL(22, 2) NULL,
    PRIMARY KEY (id),
    KEY ix_order_history_order (order_id, id),
    CONSTRAINT fk_order_history_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
