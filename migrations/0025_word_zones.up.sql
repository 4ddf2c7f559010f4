-- Where in the orders of the catalogue products with a word are, about: a list that is searched for a word skips the
-- zones that have none. A zone is a stretch of an order: 256 ids, a day, 0.5 % of a price, or the names that begin with
-- the same three characters. A row has a bit for each of 64 zones; what a word is, sql/products/add_zones.sql says.
--
-- A bit that is not set says that no product on sale there has the word. One that is set may be of a product that is
-- sold no more, or has another price now: bits are only ever added. So whoever adds one mostly changes no row and locks
-- none. Which products are in it, the chores note here (word_zones_until): until all are, nothing is skipped.
CREATE TABLE word_zones (
    word VARCHAR(40)     NOT NULL,
    sort SMALLINT        NOT NULL, -- 0: id, 1: created_at, 2: price, 3: name
    part INT             NOT NULL, -- the zone's number DIV 64
    bits BIGINT UNSIGNED NOT NULL, -- by the zone's number MOD 64
    PRIMARY KEY (word, sort, part)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
CREATE TABLE name_zones (
    id     INT        NOT NULL AUTO_INCREMENT,
    prefix VARCHAR(3) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY uq_name_zones_prefix (prefix)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
CREATE TABLE word_zones_until (
    id         SMALLINT NOT NULL, -- 1: the only row
    product_id INT      NOT NULL, -- the zones of all products up to this one are there
    complete   BOOLEAN  NOT NULL, -- the zones of all products are: those of later ones are added with them
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
INSERT INTO word_zones_until (id, product_id, complete) SELECT 1, 0, COUNT(*) = 0 FROM (SELECT id FROM products LIMIT 1) AS p;
