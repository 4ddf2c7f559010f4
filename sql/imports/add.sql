-- Add one part of a checked table, to be stored in the catalogue afterwards.
-- used by: POST /api/products/import
-- returns: id
-- changes: import_parts
-- params:
--   user_id    who imports
--   user_name  what the account is called now
--   document   JSON: [{id?, name?, …}, …], the columns that the table has; without an id it is a new product
-- sample: user_id=1, user_name='alice', document='[{"id": 1, "price": "19.90"}]'
INSERT INTO import_parts (user_id, user_name, document)
VALUES (%(user_id)s, %(user_name)s, %(document)s)
