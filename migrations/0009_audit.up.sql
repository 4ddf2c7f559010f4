-- What administrators did to the catalogue: who, when, what, before and after. No foreign key to users or products: what
-- was done stays told when the account is gone, and so the name is kept as it was.
--
-- The states are JSON as text: MySQL's own JSON would put the keys in another order and make 19.90 a 19.9.
CREATE TABLE audit_entries (
    id           BIGINT      NOT NULL AUTO_INCREMENT,
    created_at   TIMESTAMP   NOT NULL DEFAULT CURRENT_TIMESTAMP,
    user_id      INT         NOT NULL,
    user_name    VARCHAR(50) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
    entity       VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    entity_id    INT         NOT NULL,
    action       VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    before_state MEDIUMTEXT  NULL,
    after_state  MEDIUMTEXT  NULL,
    PRIMARY KEY (id),
    KEY ix_audit_entries_entity (entity, entity_id, id),
    CONSTRAINT ck_audit_entries_before CHECK (JSON_VALID(before_state)),
    CONSTRAINT ck_audit_entries_after CHECK (JSON_VALID(after_state))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
