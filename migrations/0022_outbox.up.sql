-- What the world is to hear: mails and webhooks. A row is written in the transaction of what it tells, and delivered
-- afterwards. receiver is "mail alice@example.com" or "webhook 7"; each receiver gets its rows in the order of their ids.
-- message_id stays the same however often a row is sent. due_at is when the next try may begin.
CREATE TABLE outbox (
    id         BIGINT       NOT NULL AUTO_INCREMENT,
    message_id CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    receiver   VARCHAR(300) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    topic      VARCHAR(40)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    payload    MEDIUMTEXT   NOT NULL,
    state      VARCHAR(10)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'waiting',
    attempts   INT          NOT NULL DEFAULT 0,
    due_at     TIMESTAMP    NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_at TIMESTAMP    NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ended_at   TIMESTAMP    NULL,
    error      VARCHAR(300) NULL,
    PRIMARY KEY (id),
    UNIQUE KEY uq_outbox_message (message_id, receiver),
    KEY ix_outbox_heads (state, receiver, id),
    KEY ix_outbox_due (state, due_at, id),
    KEY ix_outbox_state (state, id),
    KEY ix_outbox_ended (state, ended_at),
    CONSTRAINT ck_outbox_state CHECK (state IN ('waiting', 'delivered', 'dead')),
    CONSTRAINT ck_outbox_payload CHECK (JSON_VALID(payload))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
