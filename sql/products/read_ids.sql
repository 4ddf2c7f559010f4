-- The ids of those that have every word, among the first products on sale in the order asked for: where so many have
-- the words that the full-text index takes longer than reading, or the words are too short for it ("4k").
-- note: written from sql/products/search.template: edit that, then python3 server.py check --write-templates
-- used by: GET /api/products?search=…
-- returns: one
-- replica: ok
-- columns: ids JSON NULL
-- params:  NULL means "do not filter on this"
--   category_ids     any of these; (0): do not filter on this
--   min_price        inclusive
--   max_price        inclusive
--   in_stock         1: only what is in stock
--   in_text          JSON array of [bit, category, pattern, stem]: a word has a bit, and is found in the name of a
--                    category, or in one of its forms: as a pattern for LIKE on a text with single spaces around its
--                    words, '% lamp%' for those that begin so and '% lamp %' for the whole word (ss for ß, ae for
--                    æ, oe for œ, an underscore as \_). The stem is part of all its patterns: a quick test
--   all_words        the sum of the bits
--   stem             that of the rarest word, which is tested first
--   stem_as_one      the same where it is written with ß, æ or œ; NULL: it cannot be
--   stem_categories  the categories with the rarest word in their names, as '3,5'
--   sort             newest (or relevance: the same), oldest, price, -price, name or -name
--   after_id         the id of the last product seen; reading begins behind it
--   after_time       what it had in the column of the order; of these three only the one of the order counts
--   after_price
--   after_name
--   until_id         the id of the last product to be read; NULL: as many as `read`
--   until_time       what it has in the column of the order, like after_time
--   until_price
--   until_name
--   read             how many products are read through at the most
-- sample: in_text='[[1, null, "% lamps%", "%lamp%"], [1, 5], [2, null, "% case%", "%case%"]]',
--   all_words=3, stem='%case%',
--   read=3000, sort='relevance',
--   category_ids=(SELECT MIN(category_id) FROM products), min_price=20, max_price=80
-- sample: in_text='[[1, null, "% small%", "%small%"]]', all_words=1, stem='%small%',
--   read=3000, sort='newest'
-- sample: in_text='[[1, null, "% small%", "%small%"]]', all_words=1, stem='%small%',
--   read=3000, sort='newest', after_id=5000,
--   after_time=(SELECT created_at FROM products WHERE id = 5000)
-- sample: in_text='[[1, null, "% small%", "%small%"]]', all_words=1, stem='%small%',
--   read=3000, sort='newest', after_id=9000,
--   after_time=(SELECT created_at FROM products WHERE id = 9000), until_id=6000,
--   until_time=(SELECT created_at FROM products WHERE id = 6000)
-- sample: in_text='[[1, null, "% small%", "%small%"]]', all_words=1, stem='%small%',
--   read=3000, sort='oldest'
-- sample: in_text='[[1, null, "% small%", "%small%"]]', all_words=1, stem='%small%',
--   read=3000, sort='price'
-- sample: in_text='[[1, null, "% small%", "%small%"]]', all_words=1, stem='%small%',
--   read=3000, sort='price', after_id=5000,
--   after_price=50
-- sample: in_text='[[1, null, "% small%", "%small%"]]', all_words=1, stem='%small%',
--   read=3000, sort='-price'
-- sample: in_text='[[1, null, "% small%", "%small%"]]', all_words=1, stem='%small%',
--   read=3000, sort='name'
-- sample: in_text='[[1, null, "% small%", "%small%"]]', all_words=1, stem='%small%',
--   read=3000, sort='name', after_id=5000,
--   after_name='M', until_id=7000, until_name='N'
-- sample: in_text='[[1, null, "% small%", "%small%"]]', all_words=1, stem='%small%',
--   read=3000, sort='-name'
-- allow: filesort on products up to 5000 rows (what a narrow range of prices leaves)
-- cache: as products/count
-- plan: one of the list indexes gives the ids in its own order (the other five branches are seen to be impossible);
--       their rows are read by primary key, about 3 µs each with the quick test. Most texts that pass it have a space
--       in front of the word. Only the others are taken apart into words (8 µs).
-- note: which collation the words of a JSON document have depends on the server's version (in MariaDB 10.11.18 they
--       could not be compared with a product's); COLLATE gives them the products' own.
SELECT JSON_ARRAYAGG(t.id) AS ids
FROM (
    (SELECT id FROM products
    WHERE %(sort)s IN ('newest', 'relevance') AND is_active = 1
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
WHERE (FIND_IN_SET(t.category_id, %(stem_categories)s) OR CONCAT_WS(' ', t.name, t.description) LIKE %(stem)s
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
