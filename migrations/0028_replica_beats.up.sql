-- How far behind a replica is (DATABASE_REPLICA_URL): each host that reads from one writes the moment into a row of its
-- own here, once a second, and looks which moment the replica has. Without a replica the table is empty.
CREATE TABLE replica_beats (
    id      BIGINT    NOT NULL, -- of the host, from its start on: a random number
    beat    BIGINT    NOT NULL, -- nanoseconds of that host's own clock, which nobody else can read
    beat_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
