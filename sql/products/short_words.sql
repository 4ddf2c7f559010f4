-- Products on sale for a search of nothing but words too short for the index ("4k", "xl"); one page, with the total.
-- used by: GET /api/products?search=…
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
--   sort         newest, oldest, price, -price, name or -name
--   after_id     the id of the last product seen; the page begins behind it
--   after_time       what it had in the column of the order; of these three only the one of the order counts (a
--                    comparison with a value of another type is an error on MySQL)
--   after_price
--   after_name
--   limit        rows on the page
--   offset       rows to skip
-- plan: ix_products_newest for the newest products, whose text is then read through: bounded, so the total is a lower
--       bound in a catalogue that has more.
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, c.name AS category_name,
    p.stock_quantity, p.is_active, p.created_at, p.updated_at,
    page.total
FROM (
    SELECT hit.id, hit.name, hit.price, hit.created_at, hit.total
    FROM (
        SELECT m.id, m.name, m.price, m.created_at, COUNT(*) OVER () AS total
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
    ) AS hit
    WHERE %(after_id)s IS NULL
       OR CASE %(sort)s
            WHEN 'newest' THEN hit.created_at < %(after_time)s
                OR (hit.created_at = %(after_time)s AND hit.id < %(after_id)s)
            WHEN 'oldest' THEN hit.created_at > %(after_time)s
                OR (hit.created_at = %(after_time)s AND hit.id > %(after_id)s)
            WHEN 'price' THEN hit.price > %(after_price)s
                OR (hit.price = %(after_price)s AND hit.id > %(after_id)s)
            WHEN '-price' THEN hit.price < %(after_price)s
                OR (hit.price = %(after_price)s AND hit.id < %(after_id)s)
            WHEN 'name' THEN hit.name > %(after_name)s
                OR (hit.name = %(after_name)s AND hit.id > %(after_id)s)
            WHEN '-name' THEN hit.name < %(after_name)s
                OR (hit.name = %(after_name)s AND hit.id < %(after_id)s)
          END
    ORDER BY
        CASE WHEN %(sort)s = 'newest' THEN hit.created_at END DESC,
        CASE WHEN %(sort)s = 'oldest' THEN hit.created_at END,
        CASE WHEN %(sort)s = '-price' THEN hit.price END DESC,
        CASE WHEN %(sort)s = 'price' THEN hit.price END,
        CASE WHEN %(sort)s = '-name' THEN hit.name END DESC,
        CASE WHEN %(sort)s = 'name' THEN hit.name END,
        CASE WHEN %(sort)s IN ('newest', '-price', '-name') THEN hit.id END DESC,
        hit.id
    LIMIT %(limit)s OFFSET %(offset)s
) AS page
JOIN products AS p ON p.id = page.id
LEFT JOIN categories AS c ON c.id = p.category_id
ORDER BY
    CASE WHEN %(sort)s = 'newest' THEN page.created_at END DESC,
    CASE WHEN %(sort)s = 'oldest' THEN page.created_at END,
    CASE WHEN %(sort)s = '-price' THEN page.price END DESC,
    CASE WHEN %(sort)s = 'price' THEN page.price END,
    CASE WHEN %(sort)s = '-name' THEN page.name END DESC,
    CASE WHEN %(sort)s = 'name' THEN page.name END,
    CASE WHEN %(sort)s IN ('newest', '-price', '-name') THEN page.id END DESC,
    page.id
