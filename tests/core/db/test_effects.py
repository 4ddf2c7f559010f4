"""What a statement changes: understood however it is written, or refused; and the server itself is asked whether so."""

import itertools

import pytest
from helpers import command, free_port

from core.db import drivers, migrations
from core.db.database import DatabaseError
from core.db.effects import changed_by, only_reads
from core.db.statement import Problem, parse
from core.db.statements import Statements
from core.setup.system import ROOT

UNDERSTOOD = {
    "INSERT INTO products (name) VALUES ('x')": "products",
    "INSERT products (name) VALUES ('x')": "products",
    "INSERT INTO `products`(name) VALUES ('x')": "products",
    "insert into products set name = 'x'": "products",
    "INSERT LOW_PRIORITY INTO products (name) VALUES ('x')": "products",
    "INSERT DELAYED products (name) VALUES ('x')": "products",
    "INSERT HIGH_PRIORITY IGNORE INTO products (name) VALUES ('x')": "products",
    "INSERT /* INTO carts */ INTO\n  -- carts\n  products # carts\n (name) VALUES ('x')": "products",
    "INSERT INTO products (name) SELECT name FROM categories": "products",
    "INSERT INTO products (name) WITH c AS (SELECT name FROM categories) SELECT name FROM c": "products",
    "INSERT INTO cart_items (id) SELECT 1 FROM products AS p ON DUPLICATE KEY UPDATE quantity = p.id": "cart_items",
    "UPDATE products SET price = 1": "products",
    "UPDATE `products` SET price = 1": "products",
    "UPDATE`products`SET`price`=1": "products",
    "UPDATE products AS p SET p.price = 1 WHERE p.id IN (SELECT id FROM categories)": "products",
    "UPDATE products p SET p.price = 1 ORDER BY p.id, p.name LIMIT 1": "products",
    "UPDATE LOW_PRIORITY IGNORE products SET price = 1": "products",
    "UPDATE products USE INDEX (a, b) SET price = 1": "products",
    "UPDATE products p FORCE INDEX (a) SET p.price = 1": "products",
    "UPDATE cart_items i, products p SET i.quantity = p.id WHERE i.id = p.id": "cart_items",
    "UPDATE cart_items AS i JOIN products AS p ON p.id = i.id SET p.price = 1, i.quantity = 1": "cart_items products",
    "UPDATE cart_items i LEFT OUTER JOIN `products` AS `p` USING (id) SET `p`.`price` = i.quantity": "products",
    "UPDATE cart_items i STRAIGHT_JOIN products p SET p.price = 'SET i.quantity = 1, '": "products",
    "UPDATE cart_items i JOIN products p SET quantity = 1, p.price = 1": "cart_items products",
    "UPDATE products p JOIN (SELECT id FROM categories) AS c ON c.id = p.id SET p.price = 1": "products",
    "UPDATE JSON_TABLE('[]', '$[*]' COLUMNS (n INT PATH '$')) AS j JOIN products p SET p.price = 1": "products",
    "UPDATE products AS p SET p.price = p.`limit`, p.name = IF(p.id, 'a, b.c = d', \"WHERE\")": "products",
    "UPDATE cart_items AS i JOIN products AS p SET i.quantity = p.limit, p.price = 2": "cart_items products",
    "DELETE FROM products": "products",
    "DELETE FROM `products` WHERE id = 1 ORDER BY id LIMIT 1": "products",
    "DELETE LOW_PRIORITY QUICK IGNORE FROM products": "products",
    "DELETE QUICK FROM products": "products",
    "DELETE FROM products AS p WHERE p.id = 1": "products",
    "DELETE p FROM products AS p JOIN categories AS c ON c.id = p.category_id": "products",
    "DELETE p, c FROM products p INNER JOIN categories c WHERE p.id = c.id": "categories products",
    "DELETE IGNORE c FROM products AS p CROSS JOIN categories AS c": "categories",
    "DELETE FROM p USING products AS p, categories WHERE p.id = categories.id": "products",
    "DELETE FROM p USING products AS p JOIN categories AS c USING (id) WHERE p.id = 1": "products",
    "TRUNCATE products": "products",
    "TRUNCATE TABLE `products`": "products",
}
REFUSED = [  # each of them might change another table than it seems to
    "REPLACE INTO products (name) VALUES ('x')",
    "WITH c AS (SELECT 1 AS id) UPDATE products SET price = 1",
    "WITH c AS (SELECT 1 AS id) DELETE FROM products",
    "INSERT INTO shop.products (name) VALUES ('x')",
    "UPDATE shop.products SET price = 1",
    "UPDATE `shop`.`products` AS p SET p.price = 1",
    "DELETE FROM shop.products",
    "DELETE shop.products FROM shop.products",
    "UPDATE products SET shop.products.price = 1",
    "UPDATE products AS p SET q.price = 1",
    "UPDATE (products AS p JOIN categories AS c) SET price = 1",
    "UPDATE categories AS c JOIN (products AS p) SET p.price = 1",
    "UPDATE /*! categories AS c JOIN */ products SET price = 1",
    "UPDATE products /*M! JOIN categories */ SET name = 'x'",
    "UPDATE products SET name = 'x /* ",
    "UPDATE products SET price = 1 /* WHERE id = 1",
    "DELETE q FROM products AS p",
    "DELETE p.* FROM products AS p",
    "DELETE FROM products RETURNING id",
    "UPDATE { OJ products AS p LEFT OUTER JOIN categories AS c ON c.id = p.id } SET p.price = 1",
    "UPDATE `odd name` SET price = 1",
    "LOAD DATA INFILE 'x' INTO TABLE products",
    "CALL change_all()",
    "ALTER TABLE products DROP price",
]


def file_of(body, returns="count", changes=""):
    """Return a file of sql/ with this statement, which changes these tables."""
    header = f"-- Something.\n-- used by: a test\n-- returns: {returns}\n"
    return header + (f"-- changes: {changes}\n" if changes else "") + f"{body}\n"


@pytest.mark.parametrize("body", UNDERSTOOD)
def test_a_change_is_understood_however_it_is_written(body):
    statement = parse("a/b", "sql/a/b.sql", file_of(body, changes=", ".join(UNDERSTOOD[body].split())))

    assert statement.changes == set(UNDERSTOOD[body].split())
    assert not statement.reads_only


@pytest.mark.parametrize("body", REFUSED)
def test_a_change_that_is_not_certain_is_a_problem(body):
    for returns in ("count", "many"):
        with pytest.raises(Problem, match=r"sql/a/b\.sql:4: "):
            parse("a/b", "sql/a/b.sql", file_of(body, returns))


@pytest.mark.parametrize(
    "body",
    [
        "SELECT id FROM products INTO OUTFILE '/tmp/x'",
        "SELECT 'x'INTO @name",
        "SELECT @name := 1",
        "WITH a AS (SELECT 1 AS n), b (n) AS (SELECT n FROM a) DELETE FROM products",
    ],
)
def test_what_is_to_be_read_stores_nothing(body):
    with pytest.raises(Problem, match="wants a SELECT that stores nothing"):
        parse("a/b", "sql/a/b.sql", file_of(body, "many"))


@pytest.mark.parametrize(
    ("body", "only"),
    [
        ("SELECT REPLACE(name, 'UPDATE', 'INTO') FROM products", True),
        ("WITH RECURSIVE a (n) AS (SELECT 1), b AS (SELECT 2 AS n) SELECT n FROM a", True),
        ("SELECT id FROM products /* FOR UPDATE */", True),
        ("SELECT id FROM products FOR\n  UPDATE", False),
        ("SELECT id FROM products LOCK /* */ IN SHARE MODE", False),
        ("SELECT id FROM (SELECT id FROM products FOR SHARE) AS p", False),
    ],
)
def test_a_select_only_reads_unless_it_locks(body, only):
    assert parse("a/b", "sql/a/b.sql", file_of(body, "many")).reads_only is only


# Which tables there are


def test_a_statement_that_changes_what_no_migration_creates_is_a_problem_with_file_and_line():
    tables = migrations.tables(migrations.files())

    for table in ("product", "Products", "schema_migrations"):
        with pytest.raises(Problem, match=r"sql/a/b\.sql:5: changes \w+, which no migration creates"):
            parse("a/b", "sql/a/b.sql", file_of(f"DELETE FROM\n  {table}"), tables)


def test_tables_are_those_that_migrations_create_and_no_views():
    def migration(up):
        return migrations.Migration(1, "0001_x", up, "", "")

    steps = (
        "CREATE TABLE a (b INT COMMENT 'TABLE c'); -- CREATE TABLE d\nCREATE TABLE IF NOT EXISTS `f` (g INT);",
        "RENAME TABLE a TO base, f TO h; CREATE OR REPLACE VIEW a AS SELECT b FROM base; ALTER TABLE h RENAME TO i;",
    )

    assert migrations.tables(map(migration, steps)) >= {"base", "i"}
    assert not migrations.tables(map(migration, steps)) & {"a", "c", "d", "e"}
    assert migrations.tables(migrations.files()) >= {"cart_items", "categories", "products", "sessions", "users"}


@pytest.mark.slow
def test_a_file_that_changes_no_known_table_stops_the_start(tmp_path, program_copy):
    (program_copy / "sql/products/update.sql").write_text(file_of("UPDATE product\nSET price = 1"))

    done = command("--port", str(free_port()), home=program_copy, DATABASE_URL="mysql://shop@127.0.0.1:1/shop")

    assert done.returncode == 1
    assert "sql/products/update.sql:4: changes product, which no migration creates" in done.stderr


# What the server does


PARTS = {
    "UPDATE": (
        ["", "LOW_PRIORITY ", "IGNORE ", "/* SET x = */ ", "/*!50000 categories AS k JOIN */ ", "-- \n"],
        [
            "{t}", "{t} AS p", "{t}p", "{t} AS `set`", "{t} AS categories", "{t} AS p, categories AS c",
            "categories c JOIN {t} p ON p.id = c.id", "categories AS c LEFT JOIN {t} AS p USING (id)",
            "({t} AS p JOIN categories AS c)", "categories AS p JOIN {t} AS c ON p.id = c.id",
            "(SELECT id FROM categories) AS c JOIN {t} AS p ON p.id = c.id", "{t} AS p NATURAL JOIN cart_items AS i",
        ],
        [" SET "],
        [
            "price = 7", "p.price = 7", "`p`.`name`='a, c.name = 2'", "c.name = p.name", "description = 'SET'",
            "c.description = 'x', p.price = 8", "description = 'y', price = 9", "products.price = 5", "`set`.price = 5",
            "p.name = 'WHERE', c.name = CONCAT(c.name, 'z')", "quantity = 5, p.price = 6", "categories.price = 3",
        ],
        ["", " WHERE 1 = 1", " ORDER BY 1 LIMIT 5"],
    ),
    "DELETE": (
        ["", "QUICK ", "LOW_PRIORITY IGNORE ", "/*!50000 c, */ "],
        [
            "FROM {t}", "FROM {t} AS p", "FROM {t}.*", "p FROM {t} p", "p, c FROM {t} AS p, categories AS c",
            "c FROM {t} AS p JOIN categories AS c USING (id)", "p.* FROM categories AS c JOIN {t} AS p ON c.id = p.id",
            "FROM p USING {t} AS p JOIN categories AS c USING (id)", "FROM {t} USING {t}",
            "c FROM {t} AS c, categories AS p",
        ],
        ["", " WHERE 1 = 1", " WHERE EXISTS (SELECT 1 FROM categories)"],
    ),
    "INSERT": (
        ["", "INTO ", "IGNORE ", "LOW_PRIORITY INTO ", "DELAYED ", "HIGH_PRIORITY IGNORE INTO ", "/*!50000 INTO */ "],
        ["{t}", "{t} "],
        ["(name, price) VALUES ('n', 1)", "SET name = 'n', price = 1", "(name, price) SELECT name, 2 FROM categories"],
        ["", " ON DUPLICATE KEY UPDATE name = 'categories'"],
    ),
    "REPLACE": (["", "INTO "], ["{t} "], ["(id, name, price) VALUES (1, 'n', 1)"]),
}  # fmt: skip
SPELLINGS = ("products ", "`products`", "{schema}.products ", "`{schema}` . `products`", "/**/products/**/")
WATCHED = {
    "products": "SELECT id, name, price, description FROM products ORDER BY id",
    "categories": "SELECT id, name, description FROM categories ORDER BY id",
    "cart_items": "SELECT id, quantity FROM cart_items ORDER BY id",
}


def statements(schema):
    """Yield statements in all combinations of their parts."""
    for verb, parts in PARTS.items():
        for spelling, *chosen in itertools.product(SPELLINGS, *parts):
            yield f"{verb} " + "".join(chosen).replace("{t}", spelling.replace("{schema}", schema))


@pytest.mark.slow
def test_whatever_the_server_changes_is_understood_or_refused(accounts, sql, make):
    kettle = make.category("Kettles")
    make.products(2)
    sql("UPDATE products SET id = %s LIMIT 1", [kettle])
    make.cart("s", sql("SELECT MAX(id) AS id FROM products")[0]["id"])
    wrong, seen = [], {"understood": 0, "refused": 0}
    connection = drivers.connect(accounts.owner, 10)

    def rows():
        found = {}
        for table, statement in WATCHED.items():
            cursor.execute(statement)
            found[table] = list(cursor.fetchall())
        return found

    with connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION foreign_key_checks = 0")
        before = rows()
        for statement in statements(accounts.owner.database):
            connection.begin()
            try:
                cursor.execute(statement)
                after = rows()
            except DatabaseError:
                continue
            finally:
                connection.rollback()
            changed = {table for table in WATCHED if after[table] != before[table]}
            try:
                told = parse("a/b", "a", file_of(statement, changes=", ".join(changed_by(statement)))).changes
            except ValueError:  # a Problem, too
                seen["refused"] += bool(changed)
                continue
            seen["understood"] += bool(changed)
            if not changed <= told:
                wrong.append((statement, changed, told))

    assert wrong == []
    assert seen["understood"] > 200 and seen["refused"] > 50, seen


def test_the_shops_own_statements_are_understood():
    for statement in Statements(ROOT / "sql", tables=migrations.tables(migrations.files())):
        if statement.returns in ("count", "id"):
            assert changed_by(statement.body) == statement.changes != set()
        else:
            assert only_reads(statement.body)
