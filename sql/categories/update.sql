-- Give a category these values; it is held by categories/lock. Counts 0 where they are what it had.
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
