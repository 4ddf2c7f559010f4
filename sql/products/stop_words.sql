-- Words that a server leaves out of a full-text index unless configured otherwise, and that some of the newest products
-- have; those that the fewest have come first.
-- used by: python3 server.py check, python3 server.py, to see whether the index has them
-- returns: many
-- columns: word VARCHAR(5), products BIGINT
-- allow: full scan on products (LIMIT ends it after the newest 1000, by the primary key)
-- allow: temporary table and filesort on derived (the newest 1000 products)
-- index: products PRIMARY
-- plan: the end of the primary key
SELECT w.word, COUNT(*) AS products
FROM (SELECT name, description FROM products ORDER BY id DESC LIMIT 1000) AS newest
JOIN (
    SELECT 'about' AS word UNION ALL SELECT 'are' UNION ALL SELECT 'com' UNION ALL SELECT 'for' UNION ALL SELECT 'from'
    UNION ALL SELECT 'how' UNION ALL SELECT 'that' UNION ALL SELECT 'the' UNION ALL SELECT 'this'
    UNION ALL SELECT 'und' UNION ALL SELECT 'was' UNION ALL SELECT 'what' UNION ALL SELECT 'when'
    UNION ALL SELECT 'where' UNION ALL SELECT 'who' UNION ALL SELECT 'will' UNION ALL SELECT 'with'
) AS w ON CONCAT(' ', CONCAT_WS(' ', newest.name, newest.description), ' ') LIKE CONCAT('%% ', w.word, ' %%')
GROUP BY w.word
ORDER BY products, w.word
