-- Products on sale that a search has found, in any order; one page.
-- note: written from sql/products/list.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/products?search=…
-- returns: many
-- replica: ok
-- columns: id INT, name VARCHAR(255), description TEXT NULL, price DECIMAL(10,2), image_url VARCHAR(500) NULL,
--   category_id INT NULL, category_name VARCHAR(100) NULL, stock_quantity INT, is_active TINYINT, created_at TIMESTAMP,
--   updated_at TIMESTAMP, relevance BIGINT NULL
-- params:
--   ids              JSON array, from products/search_ids or products/read_ids; at most some thousands
--   in_name          for relevance, in_text with all words: their number in the name counts, then the time
--   sort             newest, oldest, price, -price, name, -name or relevance
--   after_id         the id of the last product seen; the page begins behind it
--   after_relevance  what it had by the order; of these four only what belongs to the order counts (a comparison with a
--                    value of another type is an error on MySQL)
--   after_time
--   after_price
--   after_name
--   limit            rows on the page
--   offset           rows to skip
-- sample: ids='[1, 2, 3, 5, 8]', in_name='[[1, null, "% wireless%"]]', sort='relevance', limit=21, offset=0
-- sample: ids='[1, 2, 3, 5, 8]', in_name='[[1, null, "% wireless%"]]', sort='relevance', limit=21, offset=0,
--   after_id=5, after_relevance=1, after_time='2026-01-01 00:00:00'
-- sample: ids='[1, 2, 3, 5, 8]', sort='name', limit=21, offset=0, after_id=5, after_name='M'
-- sample: ids='[1, 2, 3, 5, 8]', sort='-price', limit=21, offset=0, after_id=5, after_price=50
-- sample: ids=(SELECT CONCAT('[', GROUP_CONCAT(id), ']') FROM (SELECT id FROM products ORDER BY id DESC LIMIT 60) AS t),
--   limit=21, offset=0, sort='newest'
-- sample: ids=(SELECT CONCAT('[', GROUP_CONCAT(id), ']') FROM (SELECT id FROM products ORDER BY id DESC LIMIT 60) AS t),
--   limit=21, offset=0, sort='oldest'
-- sample: ids=(SELECT CONCAT('[', GROUP_CONCAT(id), ']') FROM (SELECT id FROM products ORDER BY id DESC LIMIT 60) AS t),
--   limit=21, offset=0, sort='price'
-- sample: ids=(SELECT CONCAT('[', GROUP_CONCAT(id), ']') FROM (SELECT id FROM products ORDER BY id DESC LIMIT 60) AS t),
--   limit=21, offset=0, sort='-price'
-- sample: ids=(SELECT CONCAT('[', GROUP_CONCAT(id), ']') FROM (SELECT id FROM products ORDER BY id DESC LIMIT 60) AS t),
--   limit=21, offset=0, sort='name'
-- sample: ids=(SELECT CONCAT('[', GROUP_CONCAT(id), ']') FROM (SELECT id FROM products ORDER BY id DESC LIMIT 60) AS t),
--   limit=21, offset=0, sort='-name'
-- allow: temporary table and filesort on document (the hits, in whatever order is asked for)
-- allow: temporary table and filesort on derived (the same hits; then the rows of one page)
-- index: products PRIMARY; categories PRIMARY
-- reads: at most 400
-- rows: at most 21
-- plan: primary key, about 2 µs for each id. One file sorts in any order, as all hits are sorted in any case; each CASE
--       has one type, or prices would sort as text.
-- note: which collation the words of a JSON document have depends on the server's version (in MariaDB 10.11.18 they
--       could not be compared with a product's); COLLATE gives them the products' own.
SELECT
    p.id, p.name, p.description, p.price, p.image_url, p.category_id, c.name AS category_name,
    p.stock_quantity, p.is_active, p.created_at, p.updated_at, page.relevance
FROM (
    SELECT hit.id, hit.relevance, hit.created_at, hit.price, hit.name
    FROM (
        SELECT
            t.id, t.created_at, t.price, t.name,
            CASE WHEN %(sort)s = 'relevance' THEN BIT_COUNT((
                SELECT BIT_OR(w.word)
                FROM JSON_TABLE(%(in_name)s, '$[*]' COLUMNS (
                    word BIGINT PATH '$[0]', pattern VARCHAR(255) PATH '$[2]'
                )) AS w
                WHERE CONCAT_WS(' ', '', REPLACE(t.name, '-', ' '), '') LIKE w.pattern
                    COLLATE utf8mb4_unicode_520_ci
            )) END AS relevance
        FROM JSON_TABLE(%(ids)s, '$[*]' COLUMNS (id INT PATH '$')) AS found
        JOIN products AS t ON t.id = found.id
        WHERE t.is_active = 1
    ) AS hit
    WHERE (%(after_id)s IS NULL OR CASE %(sort)s
        WHEN 'relevance' THEN hit.relevance < %(after_relevance)s OR (hit.relevance = %(after_relevance)s
            AND (hit.created_at < %(after_time)s OR (hit.created_at = %(after_time)s AND hit.id < %(after_id)s)))
        WHEN 'newest' THEN hit.created_at < %(after_time)s
            OR (hit.created_at = %(after_time)s AND hit.id < %(after_id)s)
        WHEN 'oldest' THEN hit.created_at > %(after_time)s
            OR (hit.created_at = %(after_time)s AND hit.id > %(after_id)s)
        WHEN 'price' THEN hit.price > %(after_price)s OR (hit.price = %(after_price)s AND hit.id > %(after_id)s)
        WHEN '-price' THEN hit.price < %(after_price)s OR (hit.price = %(after_price)s AND hit.id < %(after_id)s)
        WHEN 'name' THEN hit.name > %(after_name)s OR (hit.name = %(after_name)s AND hit.id > %(after_id)s)
        WHEN '-name' THEN hit.name < %(after_name)s OR (hit.name = %(after_name)s AND hit.id < %(after_id)s)
    END)
    ORDER BY
        hit.relevance DESC,
        CASE WHEN %(sort)s IN ('newest', 'relevance') THEN hit.created_at END DESC,
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
    page.relevance DESC,
    CASE WHEN %(sort)s IN ('newest', 'relevance') THEN page.created_at END DESC,
    CASE WHEN %(sort)s = 'oldest' THEN page.created_at END,
    CASE WHEN %(sort)s = '-price' THEN page.price END DESC,
    CASE WHEN %(sort)s = 'price' THEN page.price END,
    CASE WHEN %(sort)s = '-name' THEN page.name END DESC,
    CASE WHEN %(sort)s = 'name' THEN page.name END,
    CASE WHEN %(sort)s IN ('relevance', 'newest', '-price', '-name') THEN page.id END DESC,
    page.id
