-- What customers looked for and no product on sale had: the words as the search takes them, how often, and on which days.
-- Nothing says who it was, and nothing that may be about a person gets in (resources/products_missed.py). `server.py purge`
-- keeps it small; the key is the order in which rows go.
CREATE TABLE missed_searches (
    words     VARCHAR(100) NOT NULL,
    searches  INT          NOT NULL,
    first_day DATE         NOT NULL,
    last_day  DATE         NOT NULL,
    PRIMARY KEY (words),
    KEY ix_missed_searches_last (last_day, searches)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
