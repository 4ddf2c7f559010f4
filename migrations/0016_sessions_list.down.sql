ALTER TABLE sessions
    ADD KEY fk_sessions_user (user_id),
    DROP KEY ix_sessions_user,
    DROP KEY uq_sessions_id,
    DROP COLUMN address,
    DROP COLUMN id;
