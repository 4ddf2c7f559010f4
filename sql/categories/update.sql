-- Give a category these values; categories/lock has locked it. Counts 0 if it had these values already.
-- used by: PUT /api/categories/{id}
-- returns: count
-- changes: categories
-- params:
--   id
--   name
--   description  or NULL
-- sample: id=(SELECT MIN(id) FROM categories), name='Lamps'
-- index: categories PRIMARY
-- plan: primary key
UPDATE categories
SET name = %(name)s,
    description = %(description)s
WHERE id = %(id)s
