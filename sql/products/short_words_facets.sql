-- The newest products on sale that have these short words, counted by category, with the range of their prices.
-- used by: GET /api/products?search=…&facets=true
-- returns: many
-- params:  NULL means "do not filter on this"
--   category_id  exact
--   min_price    inclusive
--   max_price    inclusive
--   in_stock     1: only what is in stock, 0: only what is not
--   word1        one or two letters or digits
--   word2        another, or NULL
--   word3        another, or NULL
--   newest       how many of the newest products are looked through
-- plan: as products/short_words
SELECT f.category_id, c.name AS category_name, f.products, f.min_price, f.max_price
FROM (
    SELECT m.category_id, COUNT(*) AS products, MIN(m.price) AS min_price, MAX(m.price) AS max_price
    FROM (
        SELECT
            p.id, p.name, p.price, p.created_at, p.category_id,
            CONCAT(' ', REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(
                CONCAT_WS(' ', p.name, p.description), '-', ' '), '/', ' '), '(', ' '), '"', ' '), '\n', ' ')) AS words
        FROM (
            SELECT id
            FROM products
            WHERE is_active = 1
              AND (%(category_id)s IS NULL OR category_id = %(category_id)s)
              AND (%(min_price)s IS NULL OR price >= %(min_price)s)
              AND (%(max_price)s IS NULL OR price <= %(max_price)s)
              AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
            ORDER BY created_at DESC, id DESC
            LIMIT %(newest)s
        ) AS young
        JOIN products AS p ON p.id = young.id
    ) AS m
    WHERE m.words LIKE CONCAT('%% ', %(word1)s, '%%')
      AND (%(word2)s IS NULL OR m.words LIKE CONCAT('%% ', %(word2)s, '%%'))
      AND (%(word3)s IS NULL OR m.words LIKE CONCAT('%% ', %(word3)s, '%%'))
    GROUP BY m.category_id
) AS f
LEFT JOIN categories AS c ON c.id = f.category_id
ORDER BY f.products DESC, f.category_id
