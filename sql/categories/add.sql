-- Add a category. A name that is taken is an error of the unique key, also between two at once.
-- used by: POST /api/categories
-- returns: id
-- changes: categories
-- params:
--   name
--   description  or NULL
-- sample: name='Lamps'
INSERT INTO categories (name, description)
VALUES (%(name)s, %(description)s)
