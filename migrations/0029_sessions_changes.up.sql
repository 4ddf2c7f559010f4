-- How many changes a login has made: each adds 1 in its own transaction, while there is a replica. A replica whose row has
-- the count has the changes, and may be read for this login.
ALTER TABLE sessions
    ADD COLUMN changes INT NOT NULL DEFAULT 0;
