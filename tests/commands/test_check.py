"""`server.py check`: every file of sql/ against the live schema, with file and line of what is wrong."""

import re
import shutil

import pytest
from helpers import as_url, command, free_port, options

from commands import check
from core.config import Config
from core.db.drivers import connect_to_check
from core.db.session import problem_of
from core.db.statement import parse
from core.db.statements import Statements, missing
from core.setup.system import ROOT, pages

HEADER = "-- Something.\n-- used by: server.py check\n-- returns: many\n-- columns: id INT\n"


@pytest.fixture
def refused(accounts):
    """`refused(body)`: what the server says against a statement that begins on line 5 of sql/a/b.sql, or None."""
    connection = connect_to_check(accounts.owner, 10)

    def look(body, params=""):
        problem = problem_of(connection, parse("a/b", "sql/a/b.sql", HEADER + params + body))
        return str(problem) if problem else None

    yield look
    connection.close()


@pytest.fixture
def checked(accounts, tmp_path, monkeypatch, capsys):
    """`checked(files, plans=…)`: run it on a copy of sql/ with these files put in; return exit status and lines."""
    shutil.copytree(ROOT / "sql", tmp_path / "sql")
    monkeypatch.setattr(check, "ROOT", tmp_path)

    def run(files, **given):
        for name, text in files.items():
            (tmp_path / "sql" / name).write_text(text)
        status = check.run(options(check, **given), Config(database=accounts.owner), None)
        return status, capsys.readouterr().out.splitlines()

    return run


def test_the_shops_own_files_pass(accounts):
    done = command("check", DATABASE_URL=as_url(accounts.owner))

    count = sum(len(list(ROOT.glob(files))) for files in ("sql/*/*.sql", "reports/*.sql", "checks/*.sql"))
    assert done.stdout.splitlines() == [f"{count} statements checked against {accounts.owner.place}: all right."]
    assert (done.returncode, done.stderr) == (0, "")


def test_a_good_statement_is_not_refused(refused):
    assert refused("SELECT id\nFROM products\nWHERE id = %(id)s AND name LIKE 'a%%'", "-- params:\n--   id\n") is None


@pytest.mark.parametrize(
    ("statement", "line", "unknown"),
    [
        ("SELECT id,\n  name,\n  colour_of_it\nFROM products", 7, "colour_of_it"),
        ("SELECT p.id\nFROM products AS p\nWHERE p.colour_of_it = 1", 7, "colour_of_it"),
        ("SELECT id\nFROM\n  no_such_table", 7, "no_such_table"),
        ("SELECT id,\n  no_such_function(id)\nFROM products", 6, "no_such_function"),
    ],
)
def test_an_unknown_column_table_or_function_is_named_with_its_line(refused, statement, line, unknown):
    problem = refused(statement)

    assert problem.startswith(f"sql/a/b.sql:{line}: ")
    assert unknown in problem


@pytest.mark.parametrize(
    ("body", "line", "near"),
    [
        ("SELECT id FORM id FROM products", 5, "id FROM products"),
        ("SELECT id\nFROM products\nWHERE id = = 1\nORDER BY id", 7, "= 1"),
        ("SELECT id\n\nFROM products\nORDER\nid", 9, "id"),
    ],
)
def test_a_syntax_error_is_named_with_its_line_and_what_stands_there(refused, body, line, near):
    problem = refused(body)

    assert problem.startswith(f"sql/a/b.sql:{line}: syntax error near '{near}")


def test_a_statement_that_breaks_off_is_named_too(refused):
    problem = refused("SELECT id\nFROM products\nWHERE (id = 1")

    assert problem.startswith("sql/a/b.sql:7: syntax error")


def test_the_connection_is_usable_after_a_refusal(refused):
    refused("SELECT no_such_column FROM products")

    assert refused("SELECT id FROM products") is None


def test_the_count_comes_last_where_all_is_right(checked):
    status, lines = checked({})

    assert status == 0
    assert re.fullmatch(r"[0-9]+ statements checked against .*: all right\.", lines[-1])


def test_all_problems_are_listed_headers_and_columns_alike_and_the_exit_status_is_1(checked):
    status, lines = checked(
        {
            "products/aaa.sql": HEADER + "SELECT *\nFROM products",
            "products/bbb.sql": HEADER + "SELECT id\nFROM products\nWHERE colour_of_it = 1",
            "schema/bare.sql": "SELECT 1",
        }
    )

    assert status == 1
    assert lines[0] == "sql/products/aaa.sql:5: SELECT names its columns: no *"
    assert lines[1].startswith("sql/schema/bare.sql:1: the header is missing")
    assert lines[2].startswith("sql/products/bbb.sql:7: ") and "colour_of_it" in lines[2]
    total = len(list((ROOT / "sql").glob("*/*.sql"))) + 3
    assert lines[3].startswith(f"{total} statements checked") and lines[3].endswith(": 3 wrong.")
    assert len(lines) == 4


def test_a_pending_migration_is_mentioned_since_it_explains_what_is_missing(checked, sql):
    (row,) = sql("SELECT version, name, checksum FROM schema_migrations ORDER BY version DESC LIMIT 1")
    sql("DELETE FROM schema_migrations WHERE version = %s", [row["version"]])
    try:
        status, lines = checked({})
    finally:
        sql(
            "INSERT INTO schema_migrations (version, name, checksum, finished_at) VALUES (%s, %s, %s, NOW())",
            list(row.values()),
        )

    assert status == 0
    assert lines[-2] == "1 migration(s) are pending. Apply them: python3 server.py migrate"


@pytest.mark.parametrize(
    ("gone", "who"), [("cart/clear.sql", "resources/cart"), ("users/set_role.sql", "commands/admin"), ("purge", None)]
)
def test_a_statement_that_the_code_runs_and_that_is_not_there_is_named_with_who_runs_it(tmp_path, gone, who):
    shutil.copytree(ROOT / "sql", tmp_path / "sql")
    if who:
        (tmp_path / "sql" / gone).unlink()
    else:  # a whole folder
        gone, who = "sessions/purge_idle.sql", "commands/purge"
        shutil.rmtree(tmp_path / "sql" / "sessions")

    problems = [str(problem) for problem in missing(tmp_path / "sql", pages())]

    wanted = rf"{who}\.py:\d+: runs sql/{gone}, which is not there; put it back"
    assert any(re.fullmatch(wanted, problem) for problem in problems), problems
    assert missing(ROOT / "sql", pages()) == []


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("db.one('cart/gone')", "runs sql/cart/gone.sql, which is not there; put it back"),
        ('SORTS = {"new": ("carts/list_2", "id")}', "runs sql/carts/list_2.sql, which is not there; put it back"),
        ('db.one("cart/"\n       "gone")', "runs sql/cart/gone.sql, which is not there; put it back"),
        ('db.one(f"cart/{verb}")', "puts the name of a statement together from 'cart/'; write it out"),
        ("db.run('seed/clear_' + table)", "puts the name of a statement together from 'seed/clear_'; write it out"),
        ("db.run('seed/clear_%s' % table)", "puts the name of a statement together from 'seed/clear_%s'; write it out"),
    ],
)
def test_a_name_is_found_however_it_is_written(tmp_path, written, said):
    (tmp_path / "page.py").write_text(f"# a page\n{written}\n")

    (problem,) = missing(ROOT / "sql", [tmp_path / "page.py"])

    assert str(problem).endswith(f"/page.py:2: {said}")


def test_columns_are_written_into_a_header_and_then_hold(checked, tmp_path):
    path = tmp_path / "sql/users/get.sql"
    before = path.read_text()
    new = "-- Something.\n-- used by: server.py check\n-- returns: many\nSELECT id, role\nFROM users\n"
    wrong = before.replace("email VARCHAR(255)", "e_mail VARCHAR(99)")

    status, lines = checked({"users/new.sql": new, "users/get.sql": wrong}, write_columns=True)

    assert status == 0
    assert [line for line in lines if "columns written" in line] == [
        "sql/users/get.sql: columns written. Look whether each of them may leave.",
        "sql/users/new.sql: columns written. Look whether each of them may leave.",
    ]
    assert path.read_text() == before
    written = new.replace("SELECT", "-- columns: id INT, role ENUM\nSELECT")
    assert (tmp_path / "sql/users/new.sql").read_text() == written
    assert checked({}, write_columns=True)[0] == 0
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("GET /api/product/{id}", "there is no GET /api/product/{}"),
        ("PUT and PATCH /api/users/{id}", "there is no PATCH /api/users/{}"),
        ("GET /api/cart, server.py tidy", "there is no server.py tidy"),
        ("whoever likes", "it names no route, as GET /api/cart, and no command, as server.py purge"),
    ],
)
def test_who_uses_a_statement_is_there(checked, said, wanted):
    new = f"-- Something.\n-- used by: {said}\n-- returns: many\n-- columns: id INT\nSELECT id\nFROM users\n"

    status, lines = checked({"users/new.sql": new})

    assert status == 1
    assert lines[0] == f"sql/users/new.sql:2: 'used by: {said}': {wanted}"


@pytest.mark.slow
def test_a_statement_that_is_gone_stops_the_start(program_copy):
    (program_copy / "sql/sessions/current.sql").unlink()

    done = command("--port", str(free_port()), home=program_copy, DATABASE_URL="mysql://shop@127.0.0.1:1/shop")

    assert done.returncode == 1
    assert re.search(r"\n?[a-z/_]+\.py:\d+: runs sql/sessions/current\.sql, which is not there", done.stderr)


def test_plans_of_a_small_catalogue_are_not_looked_at_and_the_exit_status_is_2(checked, make):
    make.products(3)

    status, lines = checked({}, plans=True)

    assert status == 2
    assert lines[0].endswith(": all right.")
    assert lines[1:] == [
        "There are 3 products and 0 orders; below 10000 of each, plans say nothing about a large shop. Check them in a "
        "database that may be filled: python3 server.py seed --products 20000 --orders 20000 (or 1000000)"
    ]


@pytest.mark.slow
def test_every_statement_that_only_reads_is_timed_with_each_of_its_samples_the_slowest_first(checked, sql, make):
    make.products(3, category_id=make.category())

    status, lines = checked({}, times=True)

    timed = [re.fullmatch(r" *([0-9.]+) ms  (sql/[a-z_/]+\.sql)(?:  (.*))?", line) for line in lines[1:]]
    reading = [s for s in Statements(ROOT / "sql") if s.reads_only]
    assert status == 0 and all(timed), lines
    assert sorted(match[2] for match in timed) == sorted(s.path for s in reading for _ in s.samples or [None])
    assert [float(match[1]) for match in timed] == sorted((float(match[1]) for match in timed), reverse=True)
    assert sql("SELECT COUNT(*) AS n FROM products") == [{"n": 3}]
