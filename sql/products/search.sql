-- Products on sale that have every word, in the order asked for; one page, each row with the total.
-- used by: GET /api/products?search=…
-- returns: many
-- params:  NULL means "do not filter on this"
--   category_id  exact
--   min_price    inclusive
--   max_price    inclusive
--   in_stock     1: only what is in stock, 0: only what is not
--   words        each as +word*, for boolean mode: letters, digits and _ only (other characters are its operators)
--   sort         relevance, newest, oldest, price, -price, name or -name
--   after_id     the id of the last product seen; the page begins behind it
--   after_time   what it had in the column of the order; of these three only the one of the order counts (a
--                comparison with a value of another type is an error on MySQL)
--   after_price
--   after_name
--   newest_id    leave out what has come since: every new product moves all relevances a little, so those who page
--                by relevance stay with the products of their first page, and skip by offset
--   limit        rows on the page
--   offset       rows to skip
-- plan: ft_products_words finds the hits once; they are counted and sorted (a search sorts its hits in any order, so
--       one file serves them all; each CASE has one type, or prices would sort as text), and the page's rows are
--       joined to them afterwards. The inner LIMIT keeps MySQL from merging the subquery and counting twice.
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, c.name AS category_name,
    p.stock_quantity, p.is_active, p.created_at, p.updated_at,
    page.total, page.newest_id
FROM (
    SELECT hit.id, hit.name, hit.price, hit.created_at, hit.relevance, hit.total, hit.newest_id
    FROM (
        SELECT m.id, m.name, m.price, m.created_at, m.relevance,
            COUNT(*) OVER () AS total, MAX(m.id) OVER () AS newest_id
        FROM (
            SELECT
                id, name, price, created_at,
                ROUND(MATCH (name, description) AGAINST (%(words)s IN BOOLEAN MODE), 4) AS relevance
            FROM products
            WHERE is_active = 1
              AND MATCH (name, description) AGAINST (%(words)s IN BOOLEAN MODE)
              AND (%(newest_id)s IS NULL OR id <= %(newest_id)s)
              AND (%(category_id)s IS NULL OR category_id = %(category_id)s)
              AND (%(min_price)s IS NULL OR price >= %(min_price)s)
              AND (%(max_price)s IS NULL OR price <= %(max_price)s)
              AND (%(in_stock)s IS NULL OR in_stock = %(in_stock)s)
            LIMIT 18446744073709551615
        ) AS m
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
        CASE WHEN %(sort)s = 'relevance' THEN hit.relevance END DESC,
        CASE WHEN %(sort)s = 'newest' THEN hit.created_at END DESC,
        CASE WHEN %(sort)s = 'oldest' THEN hit.created_at END,
        CASE WHEN %(sort)s = '-price' THEN hit.price END DESC,
        CASE WHEN %(sort)s = 'price' THEN hit.price END,
        CASE WHEN %(sort)s = '-name' THEN hit.name END DESC,
        CASE WHEN %(sort)s = 'name' THEN hit.name END,
        CASE WHEN %(sort)s IN ('relevance', 'newest', '-price', '-name') THEN hit.id END DESC,
        hit.id
    LIMIT %(limit)s OFFSET %(offset)s
) AS page
JOIN products AS p ON p.id = page.id
LEFT JOIN categories AS c ON c.id = p.category_id
ORDER BY
    CASE WHEN %(sort)s = 'relevance' THEN page.relevance END DESC,
    CASE WHEN %(sort)s = 'newest' THEN page.created_at END DESC,
    CASE WHEN %(sort)s = 'oldest' THEN page.created_at END,
    CASE WHEN %(sort)s = '-price' THEN page.price END DESC,
    CASE WHEN %(sort)s = 'price' THEN page.price END,
    CASE WHEN %(sort)s = '-name' THEN page.name END DESC,
    CASE WHEN %(sort)s = 'name' THEN page.name END,
    CASE WHEN %(sort)s IN ('relevance', 'newest', '-price', '-name') THEN page.id END DESC,
    page.id
