"""What servers say of the columns of a statement, and whether that is what a header declares."""

import contextlib
import re

import pytest
from helpers import execute

from core.app import app
from core.db.columns import parse, written
from core.db.database import Database
from core.db.drivers import connect_to_check
from core.db.session import Session, problem_of
from core.db.statement import Problem
from core.db.statement import parse as parse_statement
from core.db.statements import Statements

KINDS = {  # a column as it is made → as the server describes it
    "a INT NOT NULL": "a INT",
    "a INT": "a INT NULL",
    "a INT UNSIGNED NOT NULL": "a INT UNSIGNED",
    "a TINYINT(1) NOT NULL": "a TINYINT",
    "a SMALLINT NOT NULL": "a SMALLINT",
    "a BIGINT NOT NULL": "a BIGINT",
    "a DECIMAL(10,2) NOT NULL": "a DECIMAL(10,2)",
    "a DECIMAL(7,0)": "a DECIMAL(7,0) NULL",
    "a DOUBLE NOT NULL": "a DOUBLE",
    "a CHAR(11) NOT NULL": "a CHAR(11)",
    "a VARCHAR(255) NOT NULL": "a VARCHAR(255)",
    "a VARCHAR(20) CHARACTER SET ascii NOT NULL": "a VARCHAR(20)",
    "a TEXT": "a TEXT NULL",
    "a MEDIUMTEXT": "a MEDIUMTEXT NULL",
    "a LONGTEXT": "a LONGTEXT NULL",
    "a BINARY(32) NOT NULL": "a BINARY(32)",
    "a VARBINARY(16) NOT NULL": "a VARBINARY(16)",
    "a BLOB": "a BLOB NULL",
    "a ENUM('x','y') NOT NULL": "a ENUM",
    "a DATE NOT NULL": "a DATE",
    "a DATETIME NOT NULL": "a DATETIME",
    "a DATETIME(6) NOT NULL": "a DATETIME(6)",
    "a TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP": "a TIMESTAMP",
}


@pytest.fixture
def checking(accounts):
    """A connection of the owner that can describe statements."""
    with contextlib.closing(connect_to_check(accounts.owner, 10)) as connection:
        yield connection


@pytest.mark.parametrize("made", KINDS)
def test_a_server_describes_a_column_as_it_was_made(accounts, checking, made):
    execute(accounts.owner, f"CREATE TABLE described ({made})")
    try:
        found = checking.describe("SELECT a FROM described WHERE a = ?")
    finally:
        execute(accounts.owner, "DROP TABLE described")

    assert written(dict(found)) == KINDS[made]
    assert parse(KINDS[made]) == dict(found)


def test_a_statement_that_returns_nothing_has_no_columns(checking):
    assert checking.describe("DELETE FROM carts WHERE session_id = ?") == []


@pytest.mark.parametrize(
    ("declared", "found", "covers"),
    [
        ("INT", "INT", True),
        ("INT NULL", "INT", True),
        ("INT", "INT NULL", False),
        ("BIGINT", "INT", True),
        ("INT", "BIGINT", False),
        ("INT", "TINYINT", False),  # read as a boolean
        ("BIGINT", "BIGINT UNSIGNED", False),
        ("DECIMAL(10,2)", "DECIMAL(12,2)", False),
        ("DECIMAL(10,2)", "VARCHAR(255)", False),
        ("VARCHAR(100)", "VARCHAR(50)", False),
        ("DATETIME(6)", "DATETIME", True),
        ("DATETIME", "DATETIME(6)", False),
        ("TIMESTAMP", "DATETIME", False),
        ("JSON NULL", "LONGTEXT NULL", True),
        ("LONGTEXT", "JSON", False),
    ],
)
def test_a_declared_column_covers_what_servers_say_differently_of_one_expression(declared, found, covers):
    declared, found = parse(f"a {declared}")["a"], parse(f"a {found}")["a"]

    assert declared.covers(found) is covers


# Proven by the server


def refused(connection, body, columns):
    """Return what is said against a statement with these columns in its header, without its place."""
    text = f"-- Something.\n-- used by: a test\n-- returns: many\n{columns}{body}"
    problem = problem_of(connection, parse_statement("a/b", "sql/a/b.sql", text))
    return problem and str(problem)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            "",
            "1: '-- columns: …' is missing: it returns id INT, price DECIMAL(10,2); python3 server.py check --write",
        ),
        ("-- columns: id INT\n", "6: returns price, which '-- columns:' does not declare"),
        (
            "-- columns: id INT, price DECIMAL(10,2), name TEXT\n",
            "5: does not return name, which '-- col",
        ),
        ("-- columns: id INT, cost DECIMAL(10,2)\n", "6: returns price, which '-- columns:' does not declare and does"),
        ("-- columns: id INT, price TEXT\n", "6: price is DECIMAL(10,2), and '-- columns:' declares TEXT"),
        ("-- columns: id INT, price DECIMAL(10,2)\n", None),
        ("-- columns: id INT NULL, price DECIMAL(10,2)\n", None),
    ],
)
def test_columns_other_than_the_header_declares_are_a_problem(checking, columns, said):
    problem = refused(checking, "SELECT id,\n  price\nFROM products", columns)

    assert problem is None if said is None else problem.startswith(f"sql/a/b.sql:{said}")


def test_a_column_that_may_be_null_and_is_not_declared_so_is_a_problem(checking):
    assert "description is TEXT NULL, and '-- columns:' declares TEXT" in refused(
        checking, "SELECT description\nFROM products", "-- columns: description TEXT\n"
    )


def test_two_columns_of_one_name_are_a_problem(checking):
    assert "returns id twice; give one another name, by AS" in refused(
        checking, "SELECT p.id, c.id\nFROM products AS p, categories AS c", "-- columns: id INT\n"
    )


# At run time

HEADER = "-- Something.\n-- used by: a test\n-- returns: many\n-- columns: id INT\n"


def test_a_column_that_nobody_has_declared_never_leaves_its_statement(login, tmp_path):
    """Not even where no server has looked at the statement before."""
    folder = tmp_path / "sql" / "users"
    folder.mkdir(parents=True)
    (folder / "leak.sql").write_text(HEADER + "SELECT 1 AS id, 'secret' AS password_hash")
    database = Database(login, Statements(tmp_path / "sql"), 5.0)

    with pytest.raises(Problem, match="returns password_hash, which '-- columns:' does not declare"):
        database.transaction(lambda db: db.many("users/leak"))


def test_a_result_without_rows_has_nothing_that_could_leave(accounts, tmp_path):
    folder = tmp_path / "sql" / "users"
    folder.mkdir(parents=True)
    (folder / "none.sql").write_text(HEADER + "SELECT 1 AS other FROM users WHERE 1 = 0")
    with contextlib.closing(connect_to_check(accounts.owner, 5)) as connection, connection.cursor() as cursor:
        assert Session(cursor, Statements(tmp_path / "sql")).many("users/none") == []


# A time limit


def test_a_timeout_is_enforced_by_the_server(accounts):
    text = (
        "-- Something.\n-- used by: a test\n-- returns: one\n-- columns: n BIGINT\n-- timeout: 100ms\n"
        "SELECT COUNT(*) AS n FROM information_schema.collations AS a, information_schema.collations AS b, "
        "information_schema.collations AS c, information_schema.collations AS d WHERE SLEEP(0.01) = 0"
    )
    statement = parse_statement("a/b", "sql/a/b.sql", text)

    with contextlib.closing(connect_to_check(accounts.owner, 10)) as connection, connection.cursor() as cursor:
        assert problem_of(connection, statement) is None
        with pytest.raises(Exception, match=r"(?i)execution was interrupted|max_statement_time") as caught:
            cursor.execute(statement.text)

    assert caught.value.args[0] in (1969, 3024)


def test_an_undeclared_column_is_a_500_and_a_line_in_the_log_and_does_not_leave(client, make, monkeypatch, caplog):
    """Here the header loses a column while the shop runs, as if a view had gained one."""
    product = make.product(name="Tea", description="the secret")
    (database,) = (plugin for plugin in app.plugins if plugin.name == "database")
    columns = database.statements["products/get"].columns
    monkeypatch.delitem(columns, "description")

    answer = client.get(f"/api/products/{product}")

    assert (answer.status_code, answer.json["error"]["code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in answer.text and "description" not in answer.text
    assert re.search(
        r"sql/products/get\.sql:\d+: returns description, which '-- columns:' does not declare", caplog.text
    )
