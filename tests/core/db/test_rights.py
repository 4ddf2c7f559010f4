"""The rights of the account that serves: read from the statements, or refused; and the server is asked about each."""

import contextlib
import dataclasses

import pytest
from helpers import account, execute, may_make_accounts

from core.db import drivers, migrations, rights
from core.db.database import DatabaseError
from core.db.mysql_errors import DENIED
from core.db.owner import least_rights
from core.db.statement import Problem, parse
from core.db.statements import Statements
from core.setup.system import ROOT

STATEMENTS = Statements(ROOT / "sql", more=[ROOT / "reports"])
TABLES = migrations.relations(migrations.files())
SYNTAX = {1052, 1054, 1064, 1066}
SHOPS = [statement for statement in STATEMENTS if not rights.for_owner(statement.header.used_by)]
LEAST = least_rights(STATEMENTS)

JSON = "JSON_TABLE('[1]', '$[*]' COLUMNS (id INT PATH '$'))"
UNDERSTOOD = {  # statement → what it needs; in small letters what only MySQL wants
    "SELECT 1": {},
    "SELECT 1 FROM DUAL": {},
    "SELECT id FROM products": {"products": "SELECT"},
    "select`id`from`products`": {"products": "SELECT"},
    "SELECT COUNT(*) FROM products AS categories": {"products": "SELECT"},
    "SELECT p.id FROM products p, categories AS c WHERE c.id = p.id": {"products": "SELECT", "categories": "SELECT"},
    "SELECT p.id FROM products p USE INDEX (PRIMARY) JOIN categories c FORCE INDEX (PRIMARY) ON c.id = p.id": {
        "products": "SELECT",
        "categories": "SELECT",
    },
    "SELECT c.name FROM products p STRAIGHT_JOIN categories c ON LEFT(c.name, 1) = 'a' LEFT JOIN users u ON u.id = 1": {
        "products": "SELECT",
        "categories": "SELECT",
        "users": "SELECT",
    },
    f"SELECT p.id FROM {JSON} AS j JOIN products AS p ON p.id = j.id": {"products": "SELECT"},
    "SELECT id FROM (SELECT id FROM (SELECT id FROM products) AS a) AS b": {"products": "SELECT"},
    "SELECT (SELECT MAX(id) FROM products) AS a, EXISTS (SELECT 1 FROM users) AS b": {
        "products": "SELECT",
        "users": "SELECT",
    },
    "SELECT id FROM categories WHERE id IN (SELECT category_id FROM products) AND name = ' FROM users JOIN carts'": {
        "products": "SELECT",
        "categories": "SELECT",
    },
    "SELECT id FROM products UNION ALL SELECT id FROM users ORDER BY id": {"products": "SELECT", "users": "SELECT"},
    "SELECT id FROM ((SELECT id FROM products LIMIT 1) UNION (SELECT id FROM users)) AS x": {
        "products": "SELECT",
        "users": "SELECT",
    },
    "WITH c AS (SELECT id FROM products), d (n) AS (SELECT id FROM c) SELECT n FROM d JOIN users ON users.id = d.n": {
        "products": "SELECT",
        "users": "SELECT",
    },
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i FROM n": {},
    "SELECT TRIM(LEADING ' ' FROM name), EXTRACT(YEAR FROM created_at) FROM products": {"products": "SELECT"},
    "SELECT id FROM products WHERE id = 1 FOR UPDATE": {"products": "SELECT LOCK"},
    "SELECT p.id FROM products p JOIN (SELECT id FROM users) AS u ON u.id = p.id LOCK IN SHARE MODE": {
        "products": "SELECT",
        "users": "SELECT",
    },
    "INSERT INTO categories (name) VALUES ('x')": {"categories": "INSERT"},
    "INSERT INTO categories SET name = 'x'": {"categories": "INSERT"},
    "INSERT IGNORE INTO categories (name) SELECT name FROM products": {"categories": "INSERT", "products": "SELECT"},
    "INSERT INTO categories (name) (SELECT name FROM products)": {"categories": "INSERT", "products": "SELECT"},
    "INSERT INTO categories (name) WITH p AS (SELECT name FROM products) SELECT name FROM p": {
        "categories": "INSERT",
        "products": "SELECT",
    },
    "INSERT INTO categories (name) VALUES ((SELECT MAX(name) FROM products))": {
        "categories": "INSERT",
        "products": "SELECT",
    },
    "INSERT INTO carts (session_id) VALUES ('x') ON DUPLICATE KEY UPDATE version = carts.version + 1": {
        "carts": "SELECT INSERT UPDATE"
    },
    "INSERT INTO carts (session_id) SELECT u.name FROM (SELECT username AS name FROM users) AS u "
    "ON DUPLICATE KEY UPDATE version = carts.version": {"carts": "select INSERT UPDATE", "users": "SELECT"},
    "UPDATE products SET price = 1 WHERE id = 1": {"products": "SELECT UPDATE"},
    "UPDATE products SET price = (SELECT 1 FROM users LIMIT 1) WHERE id = 1": {
        "products": "SELECT UPDATE",
        "users": "SELECT",
    },
    "UPDATE products p JOIN categories c ON c.id = p.category_id SET p.price = p.price + 1, p.name = c.name": {
        "products": "SELECT UPDATE",
        "categories": "SELECT",
    },
    f"UPDATE {JSON} AS j STRAIGHT_JOIN products p ON p.id = j.id SET p.price = p.price + 1": {
        "products": "SELECT UPDATE"
    },
    "DELETE FROM products": {"products": "DELETE"},
    "DELETE FROM products WHERE id = 1": {"products": "SELECT DELETE"},
    "DELETE FROM products ORDER BY id LIMIT 1": {"products": "SELECT DELETE"},
    "DELETE p FROM products AS p JOIN categories AS c ON c.id = p.category_id WHERE c.name = 'x'": {
        "products": "SELECT DELETE",
        "categories": "SELECT",
    },
}
REFUSED = [  # each of them might read another table than it seems to
    "SELECT id FROM (products AS p, users AS u)",
    "SELECT id FROM shop.products",
    "SELECT id FROM nowhere",
    "SELECT id FROM PRODUCTS",
    "SELECT id FROM products USE INDEX FOR ORDER BY (PRIMARY) JOIN users",
    "SELECT id FROM products WHERE id IN (TABLE users)",
    "INSERT INTO categories TABLE users",
    "SELECT id FROM products PARTITION (p0)",
    "SELECT id FROM a_function(1) AS f",
    "SELECT id FROM { OJ products AS p LEFT OUTER JOIN users AS u ON u.id = p.id }",
    "WITH users AS (SELECT 1 AS id) SELECT id FROM users",
    "TRUNCATE TABLE products",
    "CALL change_all()",
    "HANDLER products READ FIRST",
]


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_what_a_statement_needs_is_understood_however_it_is_written(text):
    assert rights.needed(text, TABLES) == {
        table: set(verbs.upper().split()) for table, verbs in UNDERSTOOD[text].items()
    }


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_certain_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        rights.needed(text, TABLES)


def test_a_statement_whose_rights_are_not_certain_is_named_with_file_and_line():
    header = "-- Something.\n-- used by: GET /api/products\n-- returns: many\n-- columns: id INT\n"
    statement = parse("a/b", "sql/a/b.sql", f"{header}SELECT id FROM (products, users)")

    with pytest.raises(Problem, match=r"^sql/a/b\.sql:5: which tables it reads is not certain\. Write it plainly: "):
        rights.of([statement], TABLES)


@pytest.mark.parametrize(
    ("used_by", "owners"),
    [
        ("server.py seed", True),
        ("python3 server.py admin NAME", True),
        ("server.py seed, python3 server.py check and server.py optimize", True),
        ("server.py chores", False),
        ("server.py purge, server.py chores", False),
        ("server.py serve", False),
        ("python3 server.py check, python3 server.py", False),
        ("server.py seed, POST /api/products/import", False),
        ("every route that wants a token", False),
    ],
)
def test_what_only_commands_of_the_owner_run_needs_no_right(used_by, owners):
    assert rights.for_owner(used_by) == owners


def test_what_is_only_locked_gets_update_as_mysql_wants_one_right_to_change():
    assert rights.of([locking("users")], TABLES) == {"users": {"SELECT", "UPDATE"}}


def locking(table):
    header = "-- Locks.\n-- used by: GET /api/products\n-- returns: one\n-- columns: id INT\n"
    return parse("a/b", "sql/a/b.sql", f"{header}SELECT id FROM {table} FOR UPDATE")


def test_the_shop_may_not_take_back_what_the_books_need():
    for table in ("audit_entries", "orders", "order_items", "order_history", "payments", "refunds"):
        assert "DELETE" not in LEAST[table]
    assert "UPDATE" not in LEAST["audit_entries"] | LEAST["order_history"]
    assert LEAST["schema_migrations"] == {"SELECT"}


# What the server says


@pytest.fixture(scope="module")
def owner(accounts):
    """The login that makes accounts."""
    if not may_make_accounts(accounts.owner):
        pytest.skip("the login of TEST_DATABASE_URL may not make accounts")
    return accounts.owner


@pytest.fixture(scope="module")
def lesser(owner):
    """The login of an account that has the least rights."""
    with account(owner, "bodega_lesser") as login:
        rights.give(owner, LEAST, login.user)
        yield login


@pytest.fixture(scope="module")
def nobody(owner):
    """The login of an account that has a right on one view, so that it can log in."""
    with account(owner, "bodega_nobody") as login:
        yield login


@contextlib.contextmanager
def given(owner, login, needed):
    """Give an account these rights for a while."""
    for grant in rights.grants(needed, owner.database, login.user):
        execute(owner, grant)
    yield
    for grant in rights.grants(needed, owner.database, login.user):
        execute(owner, grant.replace("GRANT", "REVOKE", 1).replace(" TO ", " FROM "))


def is_denied(login, text):
    """Whether the server refuses to prepare a statement, or to run one without parameters, for want of a right."""
    with contextlib.closing(drivers.connect(login, 10)) as connection, connection.cursor() as cursor:
        try:
            cursor.execute("PREPARE trial FROM %s", (text,))
            if "?" not in text:
                cursor.execute("BEGIN")
                cursor.execute("EXECUTE trial")
        except DatabaseError as error:
            if drivers.number(error) in DENIED:
                return True
            assert drivers.number(error) not in SYNTAX, error
        return False


def is_mysql(owner):
    return "MariaDB" not in execute(owner, "SELECT VERSION() AS v")[0]["v"]


@pytest.fixture(scope="module")
def one_table_more(owner, nobody):
    """Whoever has no right at all in a database may not enter it: `schema_migrations` is what all may read here."""
    with given(owner, nobody, {"schema_migrations": {"SELECT"}}):
        yield


@pytest.mark.usefixtures("one_table_more")
@pytest.mark.parametrize("text", UNDERSTOOD)
def test_the_server_wants_exactly_these_rights_for_a_statement(owner, nobody, text):
    wanted = {table: verbs.replace("LOCK", "update").split() for table, verbs in UNDERSTOOD[text].items()}
    strict = is_mysql(owner)
    needed = {t: {verb.upper() for verb in verbs if strict or verb.isupper()} for t, verbs in wanted.items()}

    with given(owner, nobody, needed):
        assert not is_denied(nobody, text)
    for table, verbs in needed.items():
        for verb in verbs:
            with given(owner, nobody, needed | {table: verbs - {verb}} if len(verbs) > 1 else without(needed, table)):
                assert is_denied(nobody, text), f"without {verb} on {table}"


def without(needed, table):
    return {other: verbs for other, verbs in needed.items() if other != table}


def denied(login, statements):
    return [statement.name for statement in statements if is_denied(login, statement.prepared())]


def test_every_statement_of_the_shop_can_be_prepared_with_the_least_rights(lesser):
    assert denied(lesser, SHOPS) == []


@pytest.mark.parametrize(("table", "verb"), [(t, verb) for t, verbs in sorted(LEAST.items()) for verb in sorted(verbs)])
def test_with_one_right_less_a_statement_of_the_shop_is_refused(owner, lesser, table, verb):
    wanting = [s for s in SHOPS if verb in rights.of([s], TABLES).get(table, ())]
    place = f"{rights.quoted(owner.database)}.{table}"

    execute(owner, f"REVOKE {verb} ON {place} FROM {rights.account_name(lesser.user)}")
    left = denied(lesser, wanting)
    execute(owner, f"GRANT {verb} ON {place} TO {rights.account_name(lesser.user)}")

    assert left


ODD = ["we`ird", "it's", 'say "x"', "back\\slash", "ünï", "a b", "me@example.com@%", "100%", "`; DROP TABLE x; --"]


@pytest.mark.parametrize("name", ODD)
def test_names_of_accounts_with_any_characters_are_meant_as_they_are(owner, name):
    with account(owner, name) as login:
        rights.give(owner, {"products": {"SELECT"}}, name)

        assert execute(login, "SELECT CURRENT_USER() AS u")[0]["u"] == (name if "@" in name else f"{name}@%")
        assert execute(login, "SELECT COUNT(*) AS n FROM products WHERE id < 0") == [{"n": 0}]


@pytest.mark.parametrize(("name", "near"), [("a_b", "axb"), ("a%b", "axb"), ("o`dd -- 'x", None), ('"q"\\', None)])
def test_names_of_databases_with_any_characters_are_meant_as_they_are_and_match_no_other(owner, name, near):
    names = [f"{owner.database}{name}", *([f"{owner.database}{near}"] if near else [])]
    with contextlib.ExitStack() as stack:
        for database in names:
            execute(owner, f"CREATE DATABASE {rights.quoted(database)}")
            stack.callback(execute, owner, f"DROP DATABASE {rights.quoted(database)}")
            execute(owner, f"CREATE TABLE {rights.quoted(database)}.products (id INT)")
        login = stack.enter_context(account(owner, "bodega_odd"))
        for grant in rights.grants({"products": {"SELECT"}}, names[0], login.user):
            execute(owner, grant)

        found = execute(elsewhere(login, names[0]), "SELECT COUNT(*) AS n FROM products")
        assert found == [{"n": 0}]
        for other in names[1:]:
            with pytest.raises(DatabaseError):
                execute(elsewhere(login, names[0]), f"SELECT COUNT(*) AS n FROM {rights.quoted(other)}.products")


def elsewhere(login, database):
    return dataclasses.replace(login, database=database)


@pytest.mark.parametrize("name", ["", "@localhost", "shop@", "a\nb", "a\0b"])
def test_what_is_no_account_is_refused(name):
    with pytest.raises(ValueError, match="is no account; wanted is NAME or NAME@HOST"):
        rights.grants({}, "shop", name)
