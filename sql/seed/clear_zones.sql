-- Forget where words are, before the catalogue is replaced.
-- used by: server.py seed
-- returns: count
-- changes: word_zones
-- allow: full scan (all of them go)
DELETE FROM word_zones
