-- Products on sale that have every word, where the full-text index does not help: the words are too common for it, or
-- too short ("4k"). Reads the first products in the order asked for; one page of those that match.
-- used by: GET /api/products?search=…
-- returns: many
-- params:  NULL means "do not filter on this"
--   category_ids  any of these; (0): do not filter on this
--   min_price    inclusive
--   max_price    inclusive
--   in_stock     1: only what is in stock
--   in_text      JSON array of the beginnings of words, as LIKE has them: letters, marks and numbers, ss for ß,
--                an underscore as \_
--   sort         newest, oldest, price, -price, name or -name; relevance: those with the first word in their name,
--                then the others, each newest first
--   after_id     the id of the last product seen; reading begins behind it
--   after_time   what it had in the column of the order; of these three only the one of the order counts
--   after_price
--   after_name
--   newest_id    leave out newer products; for relevance, which skips by offset
--   until_id     the id of the last product to be read; NULL: as many as `read`
--   until_time   what it has in the column of the order, like after_time
--   until_price
--   until_name
--   read         how many products are read through at the most
--   limit        rows on the page
--   offset       rows to skip
-- sample: in_text='["small", "case"]', read=3000, limit=21, offset=0, sort='relevance',
--   category_ids=(SELECT MIN(category_id) FROM products), min_price=20, max_price=80
-- sample: in_text='["small"]', read=3000, limit=21, offset=0, sort='newest'
-- sample: in_text='["small"]', read=3000, limit=21, offset=0, sort='newest', after_id=5000,
--   after_time=(SELECT created_at FROM products WHERE id = 5000)
-- sample: in_text='["small"]', read=4000, limit=21, offset=0, sort='newest', after_id=9000,
--   after_time=(SELECT created_at FROM products WHERE id = 9000), until_id=6000,
--   until_time=(SELECT created_at FROM products WHERE id = 6000)
-- sample: in_text='["small"]', read=3000, limit=21, offset=0, sort='oldest'
-- sample: in_text='["small"]', read=3000, limit=21, offset=0, sort='oldest', after_id=5000,
--   after_time=(SELECT created_at FROM products WHERE id = 5000)
-- sample: in_text='["small"]', read=3000, limit=21, offset=0, sort='price'
-- sample: in_text='["small"]', read=3000, limit=21, offset=0, sort='price', after_id=5000, after_price=50
-- sample: in_text='["small"]', read=3000, limit=21, offset=0, sort='-price'
-- sample: in_text='["small"]', read=3000, limit=21, offset=0, sort='-price', after_id=5000, after_price=50
-- sample: in_text='["small"]', read=3000, limit=21, offset=0, sort='name'
-- sample: in_text='["small"]', read=3000, limit=21, offset=0, sort='name', after_id=5000, after_name='M'
-- sample: in_text='["small"]', read=4000, limit=21, offset=0, sort='name', after_id=5000, after_name='M',
--   until_id=7000, until_name='N'
-- sample: in_text='["small"]', read=3000, limit=21, offset=0, sort='-name'
-- sample: in_text='["small"]', read=3000, limit=21, offset=0, sort='-name', after_id=5000, after_name='M'
-- allow: temporary table and filesort on derived (those of the products read that have the words; then one page)
-- plan: one of the list indexes gives the ids in its own order (the other five branches are seen to be impossible);
--       their rows are read by primary key. Only texts that have the words anywhere are taken apart into words.
-- note: which collation the words of a JSON document have depends on the server's version (in MariaDB 10.11.18 they
--       could not be compared with a product's); COLLATE gives them the products' own.
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, c.name AS category_name,
    p.stock_quantity, p.is_active, p.created_at, p.updated_at,
    (SELECT MAX(id) FROM products) AS newest_id
FROM (
    SELECT m.id, m.name, m.price, m.created_at, m.in_name
    FROM (
        SELECT
            t.id, t.name, t.price, t.created_at,
            t.name LIKE CONCAT('%%', JSON_VALUE(CAST(%(in_text)s AS CHAR), '$[0]'), '%%')
                COLLATE utf8mb4_unicode_520_ci AS in_name
        FROM (
            (SELECT id FROM products
            WHERE %(sort)s IN ('newest', 'relevance') AND is_active = 1
              AND (%(newest_id)s IS NULL OR id <= %(newest_id)s)
              AND (0 IN %(category_ids)s OR category_id IN %(category_ids)s)
              AND (%(min_price)s IS NULL OR price >= %(min_price)s)
              AND (%(max_price)s IS NULL OR price <= %(max_price)s)
              AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
              AND (%(after_id)s IS NULL
                   OR (created_at <= %(after_time)s AND (created_at < %(after_time)s OR id < %(after_id)s)))
              AND (%(until_id)s IS NULL
                   OR (created_at >= %(until_time)s AND (created_at > %(until_time)s OR id >= %(until_id)s)))
            ORDER BY created_at DESC, id DESC LIMIT %(read)s)
            UNION ALL
            (SELECT id FROM products
            WHERE %(sort)s = 'oldest' AND is_active = 1
              AND (0 IN %(category_ids)s OR category_id IN %(category_ids)s)
              AND (%(min_price)s IS NULL OR price >= %(min_price)s)
              AND (%(max_price)s IS NULL OR price <= %(max_price)s)
              AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
              AND (%(after_id)s IS NULL
                   OR (created_at >= %(after_time)s AND (created_at > %(after_time)s OR id > %(after_id)s)))
              AND (%(until_id)s IS NULL
                   OR (created_at <= %(until_time)s AND (created_at < %(until_time)s OR id <= %(until_id)s)))
            ORDER BY created_at, id LIMIT %(read)s)
            UNION ALL
            (SELECT id FROM products FORCE INDEX (ix_products_price, ix_products_category_price)
            WHERE %(sort)s = 'price' AND is_active = 1
              AND (0 IN %(category_ids)s OR category_id IN %(category_ids)s)
              AND (%(min_price)s IS NULL OR price >= %(min_price)s)
              AND (%(max_price)s IS NULL OR price <= %(max_price)s)
              AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
              AND (%(after_id)s IS NULL
                   OR (price >= %(after_price)s AND (price > %(after_price)s OR id > %(after_id)s)))
              AND (%(until_id)s IS NULL
                   OR (price <= %(until_price)s AND (price < %(until_price)s OR id <= %(until_id)s)))
            ORDER BY price, id LIMIT %(read)s)
            UNION ALL
            (SELECT id FROM products FORCE INDEX (ix_products_price, ix_products_category_price)
            WHERE %(sort)s = '-price' AND is_active = 1
              AND (0 IN %(category_ids)s OR category_id IN %(category_ids)s)
              AND (%(min_price)s IS NULL OR price >= %(min_price)s)
              AND (%(max_price)s IS NULL OR price <= %(max_price)s)
              AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
              AND (%(after_id)s IS NULL
                   OR (price <= %(after_price)s AND (price < %(after_price)s OR id < %(after_id)s)))
              AND (%(until_id)s IS NULL
                   OR (price >= %(until_price)s AND (price > %(until_price)s OR id >= %(until_id)s)))
            ORDER BY price DESC, id DESC LIMIT %(read)s)
            UNION ALL
            (SELECT id FROM products
            WHERE %(sort)s = 'name' AND is_active = 1
              AND (0 IN %(category_ids)s OR category_id IN %(category_ids)s)
              AND (%(min_price)s IS NULL OR price >= %(min_price)s)
              AND (%(max_price)s IS NULL OR price <= %(max_price)s)
              AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
              AND (%(after_id)s IS NULL
                   OR (name >= %(after_name)s AND (name > %(after_name)s OR id > %(after_id)s)))
              AND (%(until_id)s IS NULL
                   OR (name <= %(until_name)s AND (name < %(until_name)s OR id <= %(until_id)s)))
            ORDER BY name, id LIMIT %(read)s)
            UNION ALL
            (SELECT id FROM products
            WHERE %(sort)s = '-name' AND is_active = 1
              AND (0 IN %(category_ids)s OR category_id IN %(category_ids)s)
              AND (%(min_price)s IS NULL OR price >= %(min_price)s)
              AND (%(max_price)s IS NULL OR price <= %(max_price)s)
              AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
              AND (%(after_id)s IS NULL
                   OR (name <= %(after_name)s AND (name < %(after_name)s OR id < %(after_id)s)))
              AND (%(until_id)s IS NULL
                   OR (name >= %(until_name)s AND (name > %(until_name)s OR id >= %(until_id)s)))
            ORDER BY name DESC, id DESC LIMIT %(read)s)
        ) AS seen
        JOIN products AS t ON t.id = seen.id
        WHERE NOT EXISTS (
            SELECT 1
            FROM JSON_TABLE(%(in_text)s, '$[*]' COLUMNS (word VARCHAR(120) PATH '$')) AS w
            WHERE REPLACE(REPLACE(CONCAT_WS(' ', t.name, t.description), 'ß', 'ss'), 'ẞ', 'ss')
                  NOT LIKE CONCAT('%%', w.word, '%%') COLLATE utf8mb4_unicode_520_ci
               OR CONCAT(' ', REGEXP_REPLACE(
                      REPLACE(REPLACE(CONCAT_WS(' ', t.name, t.description), 'ß', 'ss'), 'ẞ', 'ss'), '[^\\p{L}\\p{M}\\p{N}_]+\\p{M}*', ' '
                  )) NOT LIKE CONCAT('%% ', w.word, '%%') COLLATE utf8mb4_unicode_520_ci
        )
    ) AS m
    ORDER BY
        CASE WHEN %(sort)s = 'relevance' THEN m.in_name END DESC,
        CASE WHEN %(sort)s IN ('newest', 'relevance') THEN m.created_at END DESC,
        CASE WHEN %(sort)s = 'oldest' THEN m.created_at END,
        CASE WHEN %(sort)s = '-price' THEN m.price END DESC,
        CASE WHEN %(sort)s = 'price' THEN m.price END,
        CASE WHEN %(sort)s = '-name' THEN m.name END DESC,
        CASE WHEN %(sort)s = 'name' THEN m.name END,
        CASE WHEN %(sort)s IN ('relevance', 'newest', '-price', '-name') THEN m.id END DESC,
        m.id
    LIMIT %(limit)s OFFSET %(offset)s
) AS page
JOIN products AS p ON p.id = page.id
LEFT JOIN categories AS c ON c.id = p.category_id
ORDER BY
    CASE WHEN %(sort)s = 'relevance' THEN page.in_name END DESC,
    CASE WHEN %(sort)s IN ('newest', 'relevance') THEN page.created_at END DESC,
    CASE WHEN %(sort)s = 'oldest' THEN page.created_at END,
    CASE WHEN %(sort)s = '-price' THEN page.price END DESC,
    CASE WHEN %(sort)s = 'price' THEN page.price END,
    CASE WHEN %(sort)s = '-name' THEN page.name END DESC,
    CASE WHEN %(sort)s = 'name' THEN page.name END,
    CASE WHEN %(sort)s IN ('relevance', 'newest', '-price', '-name') THEN page.id END DESC,
    page.id
