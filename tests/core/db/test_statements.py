"""The files of sql/: what their headers must say, what the text may hold, and edits while the shop runs."""

import contextlib
import decimal
import logging
import os
import pathlib
import shutil

import pytest

from core.db.database import Database
from core.db.plan_hints import Query
from core.db.statement import Problem, parse
from core.db.statements import Statements
from core.setup.system import ROOT

GOOD = """\
-- Products at one price; one page.
-- used by: GET /api/products
-- returns: many
-- params:
--   price  exact
SELECT id, name
FROM products
WHERE price = %(price)s
ORDER BY id
"""


def problem_of(source):
    """Return what is said against one file."""
    with pytest.raises(Problem) as caught:
        parse("products/list", "sql/products/list.sql", source)
    return str(caught.value)


def with_body(body, returns="many", params=""):
    """Return a file with a good header."""
    return f"-- Something.\n-- used by: GET /api/products\n-- returns: {returns}\n{params}{body}"


def folder(place, files):
    """Write files {name: text} as a folder sql/; return it."""
    for name, text in files.items():
        path = place / "sql" / f"{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return place / "sql"


def edit(path, text):
    """Give a file another text, with another time stamp whatever the file system's clock."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


WRONG = {
    "no header": ("SELECT id FROM products\n", "1: the header is missing"),
    "no purpose": (GOOD.split("\n", 1)[1], "1: the header is missing"),
    "blank purpose": (GOOD.replace(" Products at one price; one page.", ""), "1: the header is missing"),
    "no used by": (GOOD.replace("-- used by: GET /api/products\n", ""), "1: the header has no '-- used by: …' line"),
    "empty used by": (GOOD.replace(": GET /api/products", ":"), "1: the header has no '-- used by: …' line"),
    "no returns": (GOOD.replace("-- returns: many\n", ""), "1: the header has no '-- returns: …' line"),
    "unknown returns": (GOOD.replace("many", "rows"), "3: 'returns: rows' is not one of one, many, count, id"),
    "returns twice": (GOOD.replace("-- params", "-- returns: one\n-- params"), "4: 'returns:' is there twice"),
    "params twice": (GOOD.replace("SELECT", "-- params:\nSELECT"), "6: 'params:' is there twice"),
    "undeclared": (GOOD.replace("BY id", "BY %(sort)s"), "9: parameter sort is not declared under '-- params:'"),
    "unused": (GOOD.replace("price = %(price)s", "1"), "1: parameter price is declared and not used"),
    "declared twice": (GOOD.replace("SELECT", "--   price  again\nSELECT"), "6: parameter price is declared twice"),
    "bare %": (GOOD.replace("ORDER", "AND name LIKE 'a%'\nORDER"), "9: a bare % would be taken for a parameter"),
    "bare % in a comment": (GOOD.replace("ORDER", "/* 5 % */\nORDER"), "9: a bare % would be taken for a parameter"),
    "positional": (GOOD.replace("BY id", "BY %s"), "9: a bare % would be taken for a parameter"),
    "two statements": (GOOD + ";\n\nDELETE FROM products;\n", "10: one statement a file"),
    "star": (GOOD.replace("id, name", "*"), "6: SELECT names its columns: no *"),
    "star on the next line": (GOOD.replace("id, name", "\n *"), "7: SELECT names its columns: no *"),
    "distinct star": (GOOD.replace("id, name", "DISTINCT *"), "6: SELECT names its columns: no *"),
    "star of a table": (GOOD.replace("id, name", "id, p.*"), "6: SELECT names its columns: no *"),
    "star of a quoted table": (GOOD.replace("id, name", "`p`.*"), "6: SELECT names its columns: no *"),
    "verb": (GOOD.replace("many", "count"), "6: 'returns: count' wants INSERT or UPDATE or DELETE or TRUNCATE, and"),
    "insert of many": (
        with_body("INSERT INTO t (a) VALUES (1)"),
        "4: 'returns: many' wants SELECT or WITH, and the statement",
    ),
    "update with an id": (with_body("UPDATE t SET a = 1", "id"), "4: 'returns: id' wants INSERT, and the statement"),
    "punctuation": (with_body("?"), "4: 'returns: many' wants SELECT or WITH, and the statement begins with ?"),
    "no statement": (with_body("\n  \n"), "there is no statement after the header"),
    "only a semicolon": (with_body("\n;\n"), "5: there is no statement after the header"),
    "empty file": ("", "1: the header is missing"),
    "sample of another parameter": (
        GOOD.replace("SELECT", "-- sample: price=5, prize=6\nSELECT"),
        "6: the sample gives a value to prize, which is no parameter of the statement",
    ),
    "sample with two values": (
        GOOD.replace("SELECT", "-- sample: price=5, price=6\nSELECT"),
        "6: the sample gives price two values",
    ),
    "sample without a value": (
        GOOD.replace("SELECT", "-- sample: price=\nSELECT"),
        "6: the value of price is none of NULL, a number, a 'text' or a (SELECT …)",
    ),
    "sample with an odd value": (
        GOOD.replace("SELECT", "-- sample: price=cheap\nSELECT"),
        "6: the value of price is none of NULL, a number, a 'text' or a (SELECT …)",
    ),
    "sample without a name": (
        GOOD.replace("SELECT", "-- sample: 5\nSELECT"),
        "6: 'sample:' wants name=value, separated by commas; it has '5'",
    ),
    "sample without a comma": (
        GOOD.replace("SELECT", "-- sample: price=5 price=6\nSELECT"),
        "6: after the value of price the sample wants a comma; it has ' price=6'",
    ),
    "sample that is not closed": (
        GOOD.replace("SELECT", "-- sample: price=(SELECT MAX(price) FROM products\nSELECT", 1),
        "6: the (SELECT …) of price is not closed",
    ),
    "mistake in a line that goes on": (
        GOOD.replace("SELECT", "-- sample: price=5,\n--   prize=6\nSELECT"),
        "6: the sample gives a value to prize",
    ),
    "allowed without a reason": (
        GOOD.replace("SELECT", "-- allow: filesort\nSELECT"),
        "6: 'allow: filesort' gives no reason: say in parentheses why that stays cheap",
    ),
    "allowed with an empty reason": (
        GOOD.replace("SELECT", "-- allow: filesort on products ( )\nSELECT"),
        "6: 'allow: filesort on products ( )' gives no reason",
    ),
    "allowed what nobody knows": (
        GOOD.replace("SELECT", "-- allow: everything (why not)\nSELECT"),
        "6: 'allow: everything (why not)' wants one of full scan, filesort, temporary table; then",
    ),
    "allowed on another table": (
        GOOD.replace("SELECT", "-- allow: filesort on carts (few)\nSELECT"),
        "6: allows something on carts, which the statement does not name",
    ),
    "allowed in another server": (
        GOOD.replace("SELECT", "-- allow: filesort in Oracle (few)\nSELECT"),
        "6: 'in Oracle' is none of in MariaDB, in MySQL",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_file_and_line(case):
    source, said = WRONG[case]

    problem = problem_of(source)

    assert problem.startswith("sql/products/list.sql:")
    assert said in problem


def test_lines_are_counted_after_an_empty_line_below_the_header_too():
    assert problem_of(GOOD.replace("SELECT", "\n\nSELECT").replace("id, name", "*")).startswith(
        "sql/products/list.sql:8:"
    )


def test_a_semicolon_at_the_end_is_not_sent():
    assert parse("a/b", "a", with_body("SELECT 1;\n\n")).body == "SELECT 1"


@pytest.mark.parametrize(
    "body",
    [
        "SELECT 'a;b', 'it''s; *', 'back\\';slash' FROM t",
        'SELECT "a;b", "say ""*"";" FROM t',
        "SELECT `odd;name` FROM t",
        "SELECT 1 -- this; and that\nFROM t",
        "SELECT 1 # this; and that\nFROM t",
        "SELECT /* SELECT *; */ 1 FROM t",
        "SELECT COUNT(*), 2 * 3, a*b FROM t",
        "SELECT a FROM t WHERE a LIKE 'x%%'",
        "select(1)",
    ],
)
def test_quotes_comments_and_arithmetic_break_no_rule(body):
    assert parse("a/b", "a", with_body(body)).body == body


def test_a_minus_before_a_minus_begins_no_comment():
    assert "one statement a file" in problem_of(with_body("SELECT 5--3; DELETE FROM t"))


def test_windows_line_ends_are_taken_and_lines_stay_right():
    statement = parse("a/b", "a", GOOD.replace("\n", "\r\n"))

    assert "\r" not in statement.text
    assert statement.line_of("ORDER") == 9
    assert problem_of(GOOD.replace("BY id", "BY %(x)s").replace("\n", "\r\n")).startswith("sql/products/list.sql:9:")


def test_the_statement_is_sent_with_its_name_in_front_and_without_its_header():
    statement = parse("products/list", "sql/products/list.sql", GOOD)

    assert statement.text.startswith("/* products/list */ SELECT id, name\n")
    assert "--" not in statement.text


def test_the_header_is_known_to_the_program():
    statement = parse("products/list", "sql/products/list.sql", GOOD)

    assert statement.purpose == "Products at one price; one page."
    assert statement.returns == "many"
    assert statement.params == {"price": "exact"}
    assert statement.first_line == 6


def samples_of(*lines, params=("a", "b")):
    """Return the samples of a statement with these parameters as dicts of their values."""
    declared = "-- params:\n" + "".join(f"--   {name}\n" for name in params)
    body = f"SELECT {', '.join(f'%({name})s' for name in params)}"
    written = "".join(f"-- {line}\n" for line in lines)
    return [sample.values for sample in parse("a/b", "a", with_body(body, params=declared + written)).samples]


def test_a_sample_has_a_value_for_every_parameter_and_each_line_is_another():
    assert samples_of("sample: a=1", "sample:", "sample: b='x', a=NULL") == [
        {"a": 1, "b": None},
        {"a": None, "b": None},
        {"a": None, "b": "x"},
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("7", 7),
        ("-7", -7),
        ("19.90", decimal.Decimal("19.90")),
        ("NULL", None),
        ("''", ""),
        ("'it''s, (so) = 5 %'", "it's, (so) = 5 %"),
        ("'[[1, \"x\"]]'", '[[1, "x"]]'),
        ("(SELECT MAX(id) FROM t)", Query("SELECT MAX(id) FROM t")),
        ("(SELECT ')' AS a, (SELECT 1) AS b)", Query("SELECT ')' AS a, (SELECT 1) AS b")),
    ],
)
def test_a_value_is_null_a_number_a_text_or_a_query(written, value):
    assert samples_of(f"sample: a={written}, b=2") == [{"a": value, "b": 2}]


def test_a_sample_goes_on_in_indented_lines_and_ends_with_the_next_key():
    lines = ("sample: a=(SELECT MAX(id)", "    FROM t),", "  b='x'", "plan: b=7")

    assert samples_of(*lines) == [{"a": Query("SELECT MAX(id) FROM t"), "b": "x"}]


def test_an_allowance_holds_for_each_of_its_kinds_and_no_further_than_it_says():
    line = "-- allow: full scan and filesort on t up to 20 rows in MySQL (few)\n"

    scan, sort = parse("a/b", "a", with_body("SELECT a FROM t", params=line)).allowances

    assert (scan.kind, sort.kind) == ("full scan", "filesort")
    assert sort.covers("filesort", ["t"], 20, "MySQL")
    assert not sort.covers("filesort", ["t"], 21, "MySQL")
    assert not sort.covers("filesort", ["u"], 20, "MySQL")
    assert not sort.covers("filesort", ["t"], 20, "MariaDB")
    assert not sort.covers("full scan", ["t"], 20, "MySQL")


def test_prepared_has_a_mark_for_each_parameter_and_single_percent_signs():
    statement = parse(
        "a/b", "a", with_body("SELECT %(n)s, 'x%%' FROM t WHERE n = %(n)s", params="-- params:\n--   n\n")
    )

    assert statement.prepared() == "/* a/b */ SELECT ?, 'x%' FROM t WHERE n = ?"


def test_a_free_note_after_the_parameters_may_mention_anything():
    noted = GOOD.replace("SELECT", "-- plan: ix, 100 % of it; see %(this)s\n--   sort  is no parameter\nSELECT")

    assert parse("a/b", "a", noted).params == {"price": "exact"}


def test_all_problems_of_a_folder_are_reported_at_once(tmp_path):
    sql = folder(tmp_path, {"a/good": GOOD, "a/star": with_body("SELECT * FROM t"), "b/bare": "SELECT 1"})

    statements = Statements(sql)

    assert [str(problem).split(":")[:2] for problem in statements.problems] == [
        ["sql/a/star.sql", "4"],
        ["sql/b/bare.sql", "1"],
    ]
    assert [statement.name for statement in statements] == ["a/good"]


def test_a_file_that_is_not_utf_8_is_a_problem_of_that_file(tmp_path):
    statements = Statements(folder(tmp_path, {"a/latin": with_body("SELECT 'é'").encode("latin-1")}))

    assert str(statements.problems[0]).startswith("sql/a/latin.sql:1: cannot be read: 'utf-8' codec")


def test_an_unknown_name_is_a_key_error_also_when_reloading(tmp_path):
    sql = folder(tmp_path, {"a/b": GOOD})

    for statements in (Statements(sql), Statements(sql, reload=True)):
        with pytest.raises(KeyError):
            statements.get("a/c")


def test_the_shops_own_files_are_without_problems():
    assert Statements(ROOT / "sql").problems == []


# Edits while the shop runs


@pytest.fixture
def edited(tmp_path):
    """A reloading Statements over one file a/b, and that file's path."""
    sql = folder(tmp_path, {"a/b": GOOD})
    return Statements(sql, reload=True), sql / "a" / "b.sql"


def test_an_edited_file_is_used_without_a_restart(edited):
    statements, path = edited

    edit(path, GOOD.replace("BY id", "BY id DESC"))

    assert statements.get("a/b").body.endswith("ORDER BY id DESC")


def test_without_reload_an_edited_file_waits_for_the_restart(tmp_path):
    sql = folder(tmp_path, {"a/b": GOOD})
    statements = Statements(sql)

    edit(sql / "a" / "b.sql", GOOD.replace("BY id", "BY id DESC"))

    assert statements.get("a/b").body.endswith("ORDER BY id")


def test_a_broken_edit_keeps_the_last_good_version_and_is_logged_once(edited, caplog):
    statements, path = edited

    edit(path, GOOD.replace("id, name", "*"))
    kept = [statements.get("a/b") for _ in range(3)]

    assert {statement.body.split("\n")[0] for statement in kept} == {"SELECT id, name"}
    assert [record.getMessage() for record in caplog.records] == [
        "sql/a/b.sql:6: SELECT names its columns: no *; the last good version stays in use"
    ]


def test_a_mended_file_is_taken_again(edited, caplog):
    statements, path = edited
    caplog.set_level(logging.INFO)
    edit(path, "SELECT")
    statements.get("a/b")

    edit(path, GOOD.replace("id, name", "name, id"))

    assert statements.get("a/b").body.startswith("SELECT name, id")
    assert caplog.messages[-1] == "sql/a/b.sql was edited and is in use"


def test_a_deleted_file_keeps_its_last_good_version(edited, caplog):
    statements, path = edited

    path.unlink()

    assert statements.get("a/b").body == statements.get("a/b").body == parse("", "", GOOD).body
    assert len(caplog.records) == 1
    assert "cannot be read" in caplog.text


def test_a_file_that_is_new_is_found(edited):
    statements, path = edited

    edit(path.with_name("c.sql"), GOOD)

    assert statements.get("a/c").name == "a/c"


def test_an_edit_that_could_not_be_checked_is_looked_at_again(edited):
    statements, path = edited
    edit(path, GOOD.replace("id, name", "name, id"))

    with contextlib.suppress(ConnectionError):
        statements.get("a/b", check=lambda statement: lost())

    assert statements.get("a/b").body.startswith("SELECT name, id")


def lost():
    """Stand for a database that goes away while it checks."""
    raise ConnectionError("gone")


# The same with a real database, which knows the columns


@pytest.fixture
def live(accounts, tmp_path):
    """A Database on a copy of sql/ that is reloaded, and the path of products/count in that copy."""
    sql = pathlib.Path(shutil.copytree(ROOT / "sql", tmp_path / "sql"))
    database = Database(accounts.application, Statements(sql, reload=True), 5.0)
    yield database, sql / "products" / "count.sql"
    database._pool.thread.connection.close()


FILTERS = {"category_id": None, "min_price": None, "max_price": None, "in_stock": None}


def total(database):
    """Count the products as a request does."""
    return database.transaction(lambda db: db.one("products/count", **FILTERS))


def test_an_edit_with_an_unknown_table_is_refused_and_its_line_is_named(live, sql, caplog):
    """The shop's account may not hear that there is none: the server says that it has no right there."""
    database, path = live
    text = path.read_text().replace("FROM products", "FROM no_such_table")
    line = text[: text.index("\nFROM no_such_table")].count("\n") + 2

    edit(path, text)

    assert total(database) == {"total": 0}
    assert f"sql/products/count.sql:{line}: " in caplog.text and "no_such_table" in caplog.text


def test_an_edit_with_an_unknown_column_is_refused_within_the_same_request(live, sql, caplog):
    database, path = live

    def request(db):
        before = db.one("products/count", **FILTERS)
        edit(path, path.read_text().replace("SELECT COUNT(*)", "SELECT SUM(no_such_column)"))
        return before, db.one("products/count", **FILTERS)

    before, after = database.transaction(request)

    assert before == after == {"total": 0}
    assert "sql/products/count.sql:" in caplog.text and "no_such_column" in caplog.text
    assert caplog.text.count("the last good version stays in use") == 1


def test_a_good_edit_is_checked_and_used_within_the_same_request(live, sql):
    database, path = live

    def request(db):
        before = db.one("products/count", **FILTERS)
        edit(path, path.read_text().replace("SELECT COUNT(*)", "SELECT COUNT(*) + 41"))
        return before, db.one("products/count", **FILTERS)

    assert database.transaction(request) == ({"total": 0}, {"total": 41})


def test_an_edit_is_not_lost_when_the_database_goes_away_while_it_is_checked(live, sql):
    database, path = live
    total(database)
    edit(path, path.read_text().replace("SELECT COUNT(*)", "SELECT COUNT(*) + 41"))

    sql(f"KILL {database._pool.thread.connection._con.thread_id()}")

    assert total(database) == {"total": 41}
