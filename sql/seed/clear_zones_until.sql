-- Note that no product's zones are known: the catalogue is replaced, and they are added afterwards.
-- used by: server.py seed
-- returns: count
-- changes: word_zones_until
-- plan: primary key
UPDATE word_zones_until
SET product_id = 0,
    complete = 0
WHERE id = 1
