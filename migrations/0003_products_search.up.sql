-- The index of words that search uses. It is made without stop words (by default a search for "the lamp" finds
-- nothing), and that is a matter of the session that makes it: whoever rebuilds the table by hand (ALTER, OPTIMIZE)
-- sets this first too.
SET SESSION innodb_ft_enable_stopword = OFF;
ALTER TABLE products ADD FULLTEXT KEY ft_products_words (name, description);
SET SESSION innodb_ft_enable_stopword = DEFAULT;
