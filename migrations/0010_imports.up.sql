-- Tables that administrators import, cut into parts and not yet stored. All parts of one come in together, when it has
-- been checked: from then on it is decided, and each part leaves in the transaction that stores it. So no product is
-- locked for longer than its part takes, and what a crash leaves here is finished by the next import.
--
-- Row 1 is no part: whoever imports locks it, so that there is one import at a time.
CREATE TABLE import_parts (
    id         BIGINT      NOT NULL AUTO_INCREMENT,
    created_at TIMESTAMP   NOT NULL DEFAULT CURRENT_TIMESTAMP,
    user_id    INT         NOT NULL,
    user_name  VARCHAR(50) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
    document   MEDIUMTEXT  NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT ck_import_parts_document CHECK (JSON_VALID(document))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
INSERT INTO import_parts (id, user_id, user_name, document) VALUES (1, 0, '', '[]');
