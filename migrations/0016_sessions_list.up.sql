-- What an account is told of its logins: a number that names one without its token, and the address that it came from
-- (NULL for those of before). ix_sessions_user lists them newest first, and takes the place of the foreign key's own key.
-- A column that counts up makes a copy of the table, and writes to it wait: 100,000 sessions take about a second.
ALTER TABLE sessions
    ADD COLUMN id INT NOT NULL AUTO_INCREMENT,
    ADD COLUMN address VARCHAR(45) NULL,
    ADD UNIQUE KEY uq_sessions_id (id),
    ADD KEY ix_sessions_user (user_id, id),
    DROP KEY fk_sessions_user;
