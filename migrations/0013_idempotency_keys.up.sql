-- What a POST with an Idempotency-Key answered, stored in the transaction of its effect. `id` is a keyed hash of whose
-- request it is, the route and the key; `fingerprint` one of what was sent. `answer` is encrypted, because it may hold a
-- token; it is NULL only inside of the transaction that makes it. `server.py purge` removes rows by their age.
CREATE TABLE idempotency_keys (
    id          BINARY(32) NOT NULL,
    fingerprint BINARY(32) NOT NULL,
    answer      MEDIUMBLOB NULL,
    created_at  TIMESTAMP  NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (id),
    KEY ix_idempotency_keys_created (created_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
