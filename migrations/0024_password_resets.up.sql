-- Tokens by which an account gets a new password. A token is kept only as a keyed hash, so that whoever reads this table can
-- use none of them. message_id is that of the mail which has the token, in the outbox: sent again, it has another token, and
-- the former one is void. A row goes when its token is used, and all of an account with its password or e-mail address.
CREATE TABLE password_resets (
    message_id CHAR(36)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id    INT       NOT NULL,
    token_hash CHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    PRIMARY KEY (message_id),
    UNIQUE KEY uq_password_resets_token (token_hash),
    KEY ix_password_resets_user (user_id, expires_at),
    KEY ix_password_resets_expires (expires_at),
    CONSTRAINT fk_password_resets_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
