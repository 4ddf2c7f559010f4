ALTER TABLE sessions
    DROP COLUMN changes;
