-- Who is told of events, and of which. The secret that signs is made of SECRET_KEY and the salt: whoever reads this table can
-- sign nothing.
CREATE TABLE webhooks (
    id         INT           NOT NULL AUTO_INCREMENT,
    url        VARCHAR(1000) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    topics     TEXT          NOT NULL,
    salt       BINARY(16)    NOT NULL,
    is_active  BOOLEAN       NOT NULL DEFAULT TRUE,
    created_at TIMESTAMP     NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP     NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    PRIMARY KEY (id),
    CONSTRAINT ck_webhooks_topics CHECK (JSON_VALID(topics))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
