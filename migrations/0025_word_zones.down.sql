DROP TABLE word_zones_until;
DROP TABLE name_zones;
DROP TABLE word_zones;
