-- What goes back to a customer: of the payment that won (asked for by an administrator, or of an order that was canceled), or
-- of one that came too late, all of it. retry_at as in payments.
CREATE TABLE refunds (
    id         INT            NOT NULL AUTO_INCREMENT,
    order_id   INT            NOT NULL,
    payment_id INT            NOT NULL,
    reason     VARCHAR(10)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    status     VARCHAR(10)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'new',
    reference  VARCHAR(255)   CHARACTER SET ascii COLLATE ascii_bin NULL,
    amount     DECIMAL(22, 2) NOT NULL,
    currency   CHAR(3)        CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    attempts   INT            NOT NULL DEFAULT 0,
    retry_at   TIMESTAMP      NULL,
    created_at TIMESTAMP      NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP      NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    PRIMARY KEY (id),
    KEY ix_refunds_order (order_id, id),
    KEY ix_refunds_payment (payment_id),
    KEY ix_refunds_retry (retry_at),
    CONSTRAINT fk_refunds_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE RESTRICT,
    CONSTRAINT fk_refunds_payment FOREIGN KEY (payment_id) REFERENCES payments (id) ON DELETE RESTRICT,
    CONSTRAINT ck_refunds_reason CHECK (reason IN ('requested', 'canceled', 'late')),
    CONSTRAINT ck_refunds_status CHECK (status IN ('new', 'succeeded', 'failed')),
    CONSTRAINT ck_refunds_amount CHECK (amount > 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
