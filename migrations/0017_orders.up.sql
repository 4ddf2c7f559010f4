-- What was bought. The number is random and readable, for people and addresses; an id would tell how many orders there are.
-- An order of a guest has the keyed hash of its Order-Token. Deleting an account takes the person out of its orders
-- (user_id, email, shipping_address, note); numbers and amounts stay.
--
-- paid is what the payment that won has brought, refunded what goes back of it: the database refuses more than that.
-- expires_at is when an unpaid order ends and gives its pieces back; NULL where nothing is waited for any more.
--
-- Each list has its index: of an account, of all, by status, by payment_status, and by both.
CREATE TABLE orders (
    id               INT            NOT NULL AUTO_INCREMENT,
    number           CHAR(11)       CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id          INT            NULL,
    token_hash       CHAR(64)       CHARACTER SET ascii COLLATE ascii_bin NULL,
    status           VARCHAR(10)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'placed',
    payment_status   VARCHAR(15)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'unpaid',
    currency         CHAR(3)        CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    total            DECIMAL(22, 2) NOT NULL,
    paid             DECIMAL(22, 2) NOT NULL DEFAULT 0,
    refunded         DECIMAL(22, 2) NOT NULL DEFAULT 0,
    item_count       BIGINT         NOT NULL,
    email            VARCHAR(255)   CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    shipping_address TEXT           NULL,
    note             TEXT           NULL,
    tracking         VARCHAR(200)   NULL,
    placed_at        TIMESTAMP      NOT NULL DEFAULT CURRENT_TIMESTAMP,
    expires_at       TIMESTAMP      NULL,
    PRIMARY KEY (id),
    UNIQUE KEY uq_orders_number (number),
    KEY ix_orders_user           (user_id, placed_at, id, status, payment_status),
    KEY ix_orders_placed         (placed_at, id),
    KEY ix_orders_status         (status, placed_at, id),
    KEY ix_orders_payment_status (payment_status, placed_at, id),
    KEY ix_orders_both           (status, payment_status, placed_at, id),
    KEY ix_orders_email          (email, placed_at, id),
    KEY ix_orders_expires        (expires_at),
    CONSTRAINT fk_orders_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT ck_orders_status CHECK (status IN ('placed', 'fulfilled', 'canceled')),
    CONSTRAINT ck_orders_payment_status CHECK (
        payment_status IN ('unpaid', 'pending', 'paid', 'partly_refunded', 'refunded')
    ),
    CONSTRAINT ck_orders_refunded CHECK (refunded >= 0 AND refunded <= paid)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
