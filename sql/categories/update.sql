-- Give a category these values; categories/lock has locked it. Counts 0 if it had these values already.
-- used by: PUT /api/categories/{id}
-- returns: count
-- params:
--   id
--   name
--   description  or NULL
-- sample: id=(SELECT MIN(id) FROM categories), name='Lamps'
-- plan: primary key
UPDATE categories
SET name = %(name)s,
    description = %(description)s
WHERE id = %(id)s
