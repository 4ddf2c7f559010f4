-- Note in which zones the words of these products are, as far as that is new. A word of a product is one of its name or
-- description, as search takes them apart (ss for ß, ae for æ, oe for œ, no underscore at an edge), its first 40
-- characters; and # with the number of its category.
-- note: written from sql/products/words.template: edit that, then python3 server.py check --write-templates
-- used by: POST /api/products, PUT and DELETE /api/products/{id}, POST /api/products/import, the chores, server.py seed
-- returns: count
-- changes: word_zones
-- params:
--   ids  JSON: [id, …]; products/add_name_zones has numbered the beginnings of their names
-- sample: ids='[1, 2, 3]'
-- sample: ids=(SELECT CONCAT('[', MAX(id), ', ', MAX(id) - 1, ']') FROM products)
-- allow: full scan on document (the words of some products)
-- allow: temporary table and filesort on document (the same)
-- allow: temporary table and filesort on derived (the same)
-- plan: products by primary key, and a look-up in word_zones for each word and order. READ COMMITTED locks nothing of
--       what is only looked up. Bits that are new are added in one order, so that two who do it have no deadlock.
INSERT INTO word_zones (word, sort, part, bits)
SELECT n.word, n.sort, n.part, n.bits
FROM (
    SELECT z.word, z.sort, z.zone DIV 64 AS part, BIT_OR(1 << z.zone MOD 64) AS bits
    FROM (
        SELECT
            LEFT(w.word, 40) COLLATE utf8mb4_unicode_520_ci AS word,
            s.sort,
            CASE s.sort
                WHEN 0 THEN p.id DIV 256
                WHEN 1 THEN TO_DAYS(p.created_at)
                WHEN 2 THEN CAST(FLOOR(LOG2(p.price * 100) * 128) AS SIGNED)
                ELSE k.id
            END AS zone
        FROM JSON_TABLE(%(ids)s, '$[*]' COLUMNS (id INT PATH '$')) AS j
        STRAIGHT_JOIN products AS p FORCE INDEX (PRIMARY) ON p.id = j.id
        STRAIGHT_JOIN name_zones AS k ON k.prefix = LEFT(p.name, 3)
        STRAIGHT_JOIN JSON_TABLE(
            CONCAT('["#', COALESCE(p.category_id, ''), '","', REPLACE(TRIM(REGEXP_REPLACE(
                REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(CONCAT_WS(' ', '', p.name, p.description, ''),
                    'ß', 'ss'), 'ẞ', 'ss'), 'æ', 'ae'), 'Æ', 'ae'), 'œ', 'oe'), 'Œ', 'oe'),
                '_*[^\\p{L}\\p{M}\\p{N}_]+[\\p{M}_]*', ' '
            )), ' ', '","'), '"]'),
            '$[*]' COLUMNS (word TEXT PATH '$')
        ) AS w
        STRAIGHT_JOIN (SELECT 0 AS sort UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) AS s
        WHERE p.is_active = 1
    ) AS z
    GROUP BY z.word, z.sort, z.zone DIV 64
) AS n
LEFT JOIN word_zones AS known ON known.word = n.word AND known.sort = n.sort AND known.part = n.part
WHERE known.bits IS NULL
   OR known.bits & n.bits <> n.bits
ORDER BY n.word, n.sort, n.part
ON DUPLICATE KEY UPDATE word_zones.bits = word_zones.bits | n.bits
