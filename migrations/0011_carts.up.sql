-- One row a cart: every change of a cart locks it first, and counts its version up. user_id is the owner of an account's
-- own cart, and NULL for the cart of a guest. ix_carts_guests is for `server.py purge`, which removes guests' carts that
-- nobody has changed for long.
CREATE TABLE carts (
    session_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id    INT          NULL,
    version    BIGINT       NOT NULL,
    created_at TIMESTAMP    NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP    NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    PRIMARY KEY (session_id),
    UNIQUE KEY uq_carts_user (user_id),
    KEY ix_carts_guests (user_id, updated_at),
    CONSTRAINT fk_carts_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
