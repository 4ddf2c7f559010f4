-- How many of the newest products on sale have these short words; for a page that is empty and so cannot say.
-- used by: GET /api/products?search=…
-- returns: one
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
SELECT COUNT(*) AS total
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
