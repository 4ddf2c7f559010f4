-- What bounds a search: the lengths of the words that the full-text index has, and how many products there are at most.
-- used by: GET /api/products
-- returns: one
-- replica: ok
-- columns: shortest BIGINT UNSIGNED NULL, longest BIGINT UNSIGNED NULL, products_at_most BIGINT NULL
-- reads: at most 5
-- cache: estimate; the lengths are set when the server starts, and the number is an upper bound of about the right size
-- plan: the end of the primary key
SELECT
    @@innodb_ft_min_token_size AS shortest,
    @@innodb_ft_max_token_size AS longest,
    (SELECT COALESCE(MAX(id), 0) FROM products) AS products_at_most
