DROP TABLE known_words;
