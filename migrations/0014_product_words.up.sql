-- takes: 25 to 60 s and 280 MB of disk for a million products
--
-- The words of the names of products on sale, so that suggestions are found by the beginning of any word, in a
-- millisecond. A word is letters, numbers and the marks on them; of a longer one, its first 40 characters. Names are
-- compared without case and accents here as everywhere. Products that are withdrawn have no rows.
--
-- There is one key, and no foreign key: InnoDB would want an index on product_id for it, as large as the table. A row
-- belongs to one product, and whoever changes it has locked that product: so nobody waits for another here.
-- Why no trigger keeps it up: with its binary log on, MySQL lets only SUPER create one (error 1419).
CREATE TABLE product_words (
    word       VARCHAR(40) NOT NULL,
    product_id INT         NOT NULL,
    PRIMARY KEY (word, product_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
-- As sql/products/add_words.sql, for all products; IGNORE: a name may have a word twice.
INSERT IGNORE INTO product_words (word, product_id)
SELECT LEFT(w.word, 40), p.id
FROM products AS p
JOIN JSON_TABLE(
    CONCAT('["', REPLACE(TRIM(REGEXP_REPLACE(p.name, '[^\\p{L}\\p{M}\\p{N}]+\\p{M}*', ' ')), ' ', '","'), '"]'),
    '$[*]' COLUMNS (word VARCHAR(255) PATH '$')
) AS w
WHERE p.is_active = 1
  AND w.word <> '';
