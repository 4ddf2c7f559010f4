-- Products on sale that have every word, in any order, one page; for words that many have, but none of those that were
-- read first (a brand at the end of the alphabet).
-- used by: GET /api/products?search=…
-- returns: many
-- params:  NULL means "do not filter on this"
--   category_ids     any of these; (0): do not filter on this
--   min_price        inclusive
--   max_price        inclusive
--   in_stock         1: only what is in stock
--   words            for boolean mode, each as +word* or +(word* form): letters, numbers, marks and _ only (other
--                    characters are its operators)
--   in_text          as in products/read_ids, like the next four: further words, looked for in the text of the hits;
--                    NULL: none
--   all_words
--   stem
--   stem_as_one
--   stem_categories
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
-- sample: words='+wireless*', sort='newest', limit=21, offset=0, after_id=5000,
--   after_time=(SELECT created_at FROM products WHERE id = 5000)
-- sample: words='+wireless*', sort='price', limit=21, offset=0
-- sample: words='+wireless*', sort='-name', limit=21, offset=0
-- sample: words='+(sneakers* sneaker)',
--   in_text='[[1, null, "% lamps%", "%lamp%"], [1, 5], [2, null, "% case%", "%case%"]]',
--   all_words=3, stem='%case%',
--   in_name='[[1, null, "% wireless%"]]', sort='relevance', limit=21, offset=0,
--   category_ids=(SELECT MIN(category_id) FROM products), min_price=20, max_price=80
-- allow: filesort on t (the hits, in whatever order is asked for)
-- allow: temporary table on t in MariaDB (the same hits)
-- allow: temporary table and filesort on derived (the hits again; then the rows of one page)
-- plan: ft_products_words finds the hits, 3 µs each, which are sorted; the page's rows are joined to them afterwards.
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
        FROM products AS t
        WHERE t.is_active = 1
          AND MATCH (t.name, t.description) AGAINST (%(words)s IN BOOLEAN MODE)
          AND (0 IN %(category_ids)s OR t.category_id IN %(category_ids)s)
          AND (%(min_price)s IS NULL OR t.price >= %(min_price)s)
          AND (%(max_price)s IS NULL OR t.price <= %(max_price)s)
          AND (%(in_stock)s IS NULL OR t.in_stock = %(in_stock)s)
          AND (%(in_text)s IS NULL OR (
              (FIND_IN_SET(t.category_id, %(stem_categories)s) OR CONCAT_WS(' ', t.name, t.description) LIKE %(stem)s
                   OR CONCAT_WS(' ', t.name, t.description) LIKE %(stem_as_one)s)
              AND (
                  SELECT BIT_OR(w.word)
                  FROM JSON_TABLE(%(in_text)s, '$[*]' COLUMNS (
                      word BIGINT PATH '$[0]', category_id INT PATH '$[1]', pattern VARCHAR(255) PATH '$[2]',
                      stem VARCHAR(255) PATH '$[3]'
                  )) AS w
                  WHERE w.category_id = t.category_id
                     OR CONCAT_WS(' ', '', t.name, t.description, '') LIKE w.pattern COLLATE utf8mb4_unicode_520_ci
                     OR (CONCAT_WS(' ', t.name, t.description) LIKE w.stem COLLATE utf8mb4_unicode_520_ci
                         AND CONCAT(' ', REGEXP_REPLACE(
                             REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(CONCAT_WS(' ', '', t.name, t.description, ''),
                                 'ß', 'ss'), 'ẞ', 'ss'), 'æ', 'ae'), 'Æ', 'ae'), 'œ', 'oe'), 'Œ', 'oe'),
                             '_*[^\\p{L}\\p{M}\\p{N}_]+[\\p{M}_]*', ' '
                         ), ' ') LIKE w.pattern COLLATE utf8mb4_unicode_520_ci)
              ) = %(all_words)s
          ))
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
