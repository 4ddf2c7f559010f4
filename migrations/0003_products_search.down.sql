ALTER TABLE products DROP KEY ft_products_words;
