-- Attempts to pay an order. reference is what the provider calls it. retry_at is when the next call to the provider is due,
-- if the process that was about to make it does not live any more; NULL where there is nothing to do.
--
-- won_by_order is the order, of the one payment that takes its money: by its key no order is ever paid twice.
CREATE TABLE payments (
    id           INT            NOT NULL AUTO_INCREMENT,
    order_id     INT            NOT NULL,
    provider     VARCHAR(20)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    reference    VARCHAR(255)   CHARACTER SET ascii COLLATE ascii_bin NULL,
    status       VARCHAR(12)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'new',
    amount       DECIMAL(22, 2) NOT NULL,
    currency     CHAR(3)        CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    fields       TEXT           NULL,
    next_action  TEXT           NULL,
    attempts     INT            NOT NULL DEFAULT 0,
    retry_at     TIMESTAMP      NULL,
    created_at   TIMESTAMP      NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at   TIMESTAMP      NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    won_by_order INT            GENERATED ALWAYS AS (IF(status IN ('capturing', 'captured'), order_id, NULL)) STORED,
    PRIMARY KEY (id),
    UNIQUE KEY uq_payments_reference (provider, reference),
    UNIQUE KEY uq_payments_won (won_by_order),
    KEY ix_payments_order (order_id, id),
    KEY ix_payments_retry (retry_at),
    CONSTRAINT fk_payments_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE RESTRICT,
    CONSTRAINT ck_payments_status CHECK (
        status IN (
            'new', 'pending', 'authorized', 'capturing', 'captured', 'late', 'canceling', 'canceled', 'declined'
        )
    ),
    CONSTRAINT ck_payments_amount CHECK (amount > 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
