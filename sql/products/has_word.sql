-- Whether the full-text index finds any product for these words.
-- used by: python3 server.py check, python3 server.py purge, python3 server.py optimize, python3 server.py
-- returns: one
-- columns: found BIGINT
-- params:
--   words  for boolean mode, like +word
-- sample: words='+with'
-- plan: ft_products_words
SELECT EXISTS (
    SELECT 1 FROM products WHERE MATCH (name, description) AGAINST (%(words)s IN BOOLEAN MODE)
) AS found
