"""The folder sql/: all its problems at once, and edits while the shop runs."""

import contextlib
import logging
import os
import pathlib
import shutil

import pytest
from test_statement import GOOD, with_body

from core.db.database import Database
from core.db.statement import parse
from core.db.statements import Statements
from core.setup.system import ROOT

ALIKE = "-- Dearest.\n-- used by: a test\n-- returns: many\n-- like: {}\nSELECT id FROM t WHERE price = %(price)s"


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


@pytest.mark.parametrize("old", ["price", "returns: many"])
def test_an_edit_that_the_running_code_could_not_run_keeps_the_last_good_version(edited, caplog, old):
    """Else each request that runs it would be a 500 until the restart."""
    statements, path = edited
    changed = GOOD.replace(old, "amount" if old == "price" else "returns: one")
    assert parse("a/b", "sql/a/b.sql", changed)

    edit(path, changed)

    assert statements.get("a/b").header.returns == "many" and [*statements.get("a/b").params] == ["price"]
    assert caplog.messages == [
        "sql/a/b.sql:1: the code that runs knows it with price, and that it returns many; to run it otherwise takes a "
        "restart; the last good version stays in use"
    ]


def test_a_corrected_file_is_used_again(edited, caplog):
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


def test_what_is_like_another_file_follows_its_edits(tmp_path):
    sql = folder(tmp_path, {"a/a": ALIKE.format("a/b"), "a/b": GOOD})
    statements = Statements(sql, reload=True)
    assert statements.problems == []
    assert statements.get("a/a").params == {"price": "exact"}

    edit(sql / "a" / "b.sql", GOOD.replace("price  exact", "price  in euros"))

    assert statements.get("a/a").params == {"price": "in euros"}


@pytest.mark.parametrize(
    ("like", "said"),
    [("a/gone", "is like a/gone, and there is no sql/a/gone.sql"), ("a/c", "itself like a/b: name that one")],
)
def test_a_file_is_like_one_that_is_there_and_like_none_itself(tmp_path, like, said):
    sql = folder(tmp_path, {"a/a": ALIKE.format(like), "a/b": GOOD, "a/c": ALIKE.format("a/b")})

    (problem,) = Statements(sql).problems

    assert str(problem).startswith("sql/a/a.sql:1: ") and said in str(problem)


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
