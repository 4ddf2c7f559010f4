-- Every word of product_words once. To step from word to word in product_words itself, the servers have a plan, and they
-- choose it by statistics: after a large import they read all 28,000 products with "lamp" instead, for 30 ms.
--
-- A word stays when no product has it any more: so nobody has to count, and two who add a product lock nothing of each
-- other's, unless both bring the same new word.
CREATE TABLE known_words (
    word VARCHAR(40) NOT NULL,
    PRIMARY KEY (word)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
INSERT IGNORE INTO known_words (word) SELECT DISTINCT word FROM product_words;
