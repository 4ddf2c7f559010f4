-- Who is logged in. A token is kept only as a keyed hash, so that whoever reads this table can use none of them; a
-- session goes with its account (CASCADE). The two keys on times serve `server.py purge`.
CREATE TABLE sessions (
    token_hash   CHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id      INT       NOT NULL,
    created_at   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_used_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    expires_at   TIMESTAMP NOT NULL,
    PRIMARY KEY (token_hash),
    KEY ix_sessions_expires (expires_at),
    KEY ix_sessions_last_used (last_used_at),
    CONSTRAINT fk_sessions_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
