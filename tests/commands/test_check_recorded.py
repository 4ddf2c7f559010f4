"""`check --plans --compare` and `--accept`: the plans in sql/plans.json, with 20,000 products and orders.

ACCEPT_PLANS=1 records what the server at hand does with the shop's own statements, if it is not slower.
"""

import contextlib
import json
import os
import re
import shutil

import pytest
from helpers import as_url, command, execute, options
from large import ALL, PRODUCTS

from commands import check, check_plans, check_recorded
from commands.check_schema import Schema
from core.config import Config
from core.db import migrations
from core.db.drivers import connect
from core.db.statements import Statements
from core.setup.system import ROOT

pytestmark = pytest.mark.slow

FILE = ROOT / "sql" / "plans.json"
HEADER = "-- Something.\n-- used by: the chores\n-- returns: many\n-- params:\n--   id\n-- sample: id=700\n"
NAMED = HEADER + "-- columns: name VARCHAR(255)\n"
BY_KEY = NAMED + "SELECT name FROM products WHERE id BETWEEN %(id)s AND %(id)s + 1"
WHOLE = HEADER + (
    "-- columns: image_url VARCHAR(500) NULL\n-- allow: full scan on products (a test)\n"
    "SELECT image_url FROM products IGNORE INDEX (PRIMARY) WHERE id BETWEEN %(id)s AND %(id)s + 1"
)
OTHER = NAMED + "SELECT name FROM products FORCE INDEX (PRIMARY) WHERE id = %(id)s"


@pytest.fixture
def connection(sized):
    """A connection of the owner."""
    with contextlib.closing(connect(sized.owner, 10, 60)) as opened:
        yield opened


@pytest.fixture
def kind(connection):
    """The kind of the server at hand; where nobody has recorded its plans, the test is left out."""
    name = check_recorded.kind_of(connection.get_server_info())
    if name not in json.loads(FILE.read_text()):
        pytest.skip(f"sql/plans.json has no plans of {name}")
    return name


@pytest.fixture
def shop_of_one(sized, tmp_path, monkeypatch, capsys):
    """`shop_of_one(text, *words)`: run `check --plans` where sql/a/b.sql is all that there is beside what it runs.

    Returns (exit status, lines); sql/plans.json stays from one run to the next.
    """
    for name in ("seed/counts", "products/stop_words", "products/has_word"):  # what the command itself runs
        (tmp_path / "sql" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "sql" / f"{name}.sql", tmp_path / "sql" / f"{name}.sql")
    (tmp_path / "sql" / "a").mkdir()
    monkeypatch.setattr(check, "ROOT", tmp_path)

    def run(text, *words):
        (tmp_path / "sql" / "a" / "b.sql").write_text(text)
        given = {word: "HEAD" if word == "compare" else True for word in words}
        status = check.run(options(check, plans=True, **given), Config(database=sized.owner), None)
        lines = capsys.readouterr().out.splitlines()
        return status, [line for line in lines if "no plan needs" not in line and " checked" not in line]

    run.file = tmp_path / "sql" / "plans.json"
    return run


def recorded(file):
    """Return {sample: its plans} of a file that knows one server."""
    (server,) = json.loads(file.read_text()).values()
    return server["plans"]


def test_every_sample_of_the_shop_has_the_plan_that_is_recorded(sized):
    words = ["--compare"] + ["--accept"] * ("ACCEPT_PLANS" in os.environ)

    done = command("check", "--plans", *words, DATABASE_URL=as_url(sized.owner))

    lines = [line for line in done.stdout.splitlines() if ": no plan needs 'allow: " not in line]
    if lines[-2].startswith("sql/plans.json has no plans of"):
        pytest.skip(lines[-2])
    assert re.search(rf"with {PRODUCTS} products and {PRODUCTS} orders: all right\.\Z", lines[-1]), done.stdout
    assert (done.returncode, done.stderr) == (0, "")


TIMES = int(os.environ.get("ANALYZE_ROUNDS", "30"))


def test_analyze_however_often_gives_no_false_alarm(sized, connection, kind):
    statements = Statements(ROOT / "sql", tables=migrations.tables(migrations.files()))
    plans = check_recorded.Recorded(FILE, kind)
    server, told = kind.split()[0], set()

    with connection.cursor() as cursor:
        for _ in range(TIMES):
            cursor.execute(f"ANALYZE TABLE {ALL}")
            cursor.fetchall()
            report, schema = check_plans.look(cursor, statements, server), Schema(cursor, server)
            told |= {*map(str, report.problems), *check_recorded.compare(schema, plans, report, statements)}

    assert told == set()


GONE = {  # the last index of its table: put back, it stands where it stood
    "ix_products_category_name": (
        "products",
        "DROP INDEX ix_products_category_name",
        "ADD INDEX ix_products_category_name (category_id, is_active, name, id, price, in_stock)",
    ),
    "ix_orders_expires": ("orders", "DROP INDEX ix_orders_expires", "ADD INDEX ix_orders_expires (expires_at)"),
    "ix_products_price": (  # files that force it cannot even be explained
        "products",
        "RENAME INDEX ix_products_price TO ix_put_aside",
        "RENAME INDEX ix_put_aside TO ix_products_price",
    ),
}


@pytest.mark.parametrize("index", GONE)
def test_an_index_that_was_dropped_is_named_with_every_file_that_used_it(sized, kind, index):
    table, drop, put_back = GONE[index]
    plans = json.loads(FILE.read_text())[kind]["plans"]
    users = {f"sql/{key.split(':')[0]}.sql" for key, known in plans.items() if f" {index}/" in json.dumps(known)}
    before = execute(sized.owner, f"SHOW CREATE TABLE {table}")[0]["Create Table"].split(" AUTO_INCREMENT")[0]

    execute(sized.owner, f"ALTER TABLE {table} {drop}")
    try:
        done = command("check", "--plans", "--compare", DATABASE_URL=as_url(sized.owner))
    finally:
        execute(sized.owner, f"ALTER TABLE {table} {put_back}")

    assert users
    said = f"The index {index} of {table} is not there. It was used by {', '.join(sorted(users))}."
    assert said in done.stdout.splitlines(), done.stdout
    assert done.returncode == 1
    assert execute(sized.owner, f"SHOW CREATE TABLE {table}")[0]["Create Table"].startswith(before)  # as it was


def test_a_plan_that_changes_is_told_with_file_line_sample_and_words(shop_of_one):
    shop_of_one(BY_KEY, "accept")

    status, lines = shop_of_one(WHOLE, "compare")

    assert status == 1
    assert lines == [
        "sql/a/b.sql:6: another plan with the sample id=700: products is read whole (before: is read by a range of "
        "PRIMARY (4 bytes))"
    ]


def test_a_plan_that_stays_is_no_change_whatever_the_text(shop_of_one):
    shop_of_one(BY_KEY, "accept")

    assert shop_of_one(BY_KEY.replace("SELECT", "SELECT  "), "compare") == (0, [])


def test_accepting_measures_first_and_refuses_a_plan_that_reads_more(shop_of_one):
    shop_of_one(BY_KEY, "accept")
    before = shop_of_one.file.read_text()

    status, lines = shop_of_one(WHOLE, "accept")

    assert status == 1
    assert re.fullmatch(
        r"sql/a/b\.sql:6: the plan with the sample id=700 reads 2\d{4} rows in [\d.]+ ms; before, [23] rows in [\d.]+ "
        "ms: slower",
        lines[0],
    ), lines
    assert lines[1:] == ["Nothing is recorded, because a plan is slower. If that is meant, say --slower."]
    assert shop_of_one.file.read_text() == before


def test_a_slower_plan_is_recorded_if_that_is_said(shop_of_one):
    shop_of_one(BY_KEY, "accept")

    status, lines = shop_of_one(WHOLE, "accept", "slower")

    assert (status, lines[1].split(" recorded")[0][:8]) == (0, "1 plans ")
    assert shop_of_one(WHOLE, "compare") == (0, [])
    assert shop_of_one(BY_KEY, "compare")[0] == 1


def test_a_plan_that_takes_much_longer_is_refused_though_it_reads_no_more(shop_of_one):
    slow = OTHER.replace("VARCHAR(255)", "BIGINT").replace("SELECT name", "SELECT SLEEP(0.02) AS name")
    shop_of_one(BY_KEY, "accept")

    status, lines = shop_of_one(slow, "accept")

    assert (status, lines[0].endswith(": slower")) == (1, True), lines


def test_a_plan_that_is_as_good_takes_the_place_of_the_recorded_one(shop_of_one):
    shop_of_one(BY_KEY, "accept")

    assert shop_of_one(OTHER, "accept")[0] == 0
    assert shop_of_one(OTHER, "compare") == (0, [])
    assert shop_of_one(BY_KEY, "compare")[0] == 1


def test_of_two_plans_that_are_as_good_both_can_be_accepted(shop_of_one):
    shop_of_one(BY_KEY, "accept")

    shop_of_one(OTHER, "accept", "also")

    assert [plan["plan"] for plan in recorded(shop_of_one.file)["a/b: id=700"]] == [
        "products range PRIMARY/4",
        "products const PRIMARY/4",
    ]
    assert shop_of_one(BY_KEY, "compare") == shop_of_one(OTHER, "compare") == (0, [])


def test_the_file_has_a_line_for_each_sample_in_order_with_what_was_measured(shop_of_one):
    shop_of_one(BY_KEY.replace("-- sample: id=700\n", "-- sample: id=9\n-- sample: id=11\n"), "accept")

    lines = [line for line in shop_of_one.file.read_text().splitlines() if line.startswith('"a/b')]
    assert [re.sub(r"\d\.\d", "0.1", line) for line in lines] == [
        '"a/b: id=11": [{"plan": "products range PRIMARY/4", "reads": 3, "ms": 0.1}],',
        '"a/b: id=9": [{"plan": "products range PRIMARY/4", "reads": 3, "ms": 0.1}],',
    ]


def test_a_sample_without_a_recorded_plan_and_a_plan_without_a_sample_are_told(shop_of_one):
    shop_of_one(BY_KEY, "accept")

    status, lines = shop_of_one(BY_KEY.replace("id=700", "id=701"), "compare")

    assert status == 1
    assert lines == [
        "sql/a/b.sql:6: there is no recorded plan with the sample id=701. Record it: check --plans --accept",
        "sql/plans.json has a plan for a sample that is not there: a/b: id=700",
    ]
    assert shop_of_one(BY_KEY.replace("id=700", "id=701"), "accept")[0] == 0
    assert "a/b: id=700" not in recorded(shop_of_one.file)


def test_a_server_whose_plans_nobody_has_recorded_is_told_and_the_exit_status_is_2(shop_of_one):
    shop_of_one.file.write_text('{"MySQL 5.0": {"at": {"products": 1, "orders": 1}, "plans": {}}}')

    status, lines = shop_of_one(BY_KEY, "compare")

    assert status == 2
    assert re.fullmatch(r"sql/plans\.json has no plans of \w+ [\d.]+; it has those of MySQL 5\.0\.", lines[0])


def test_in_a_database_of_another_size_nothing_is_accepted_as_not_slower(shop_of_one):
    shop_of_one(BY_KEY, "accept")
    text = shop_of_one.file.read_text().replace('"products": 20000', '"products": 900000')
    shop_of_one.file.write_text(text)

    status, lines = shop_of_one(OTHER, "accept")

    assert (status, lines[0].split(". ")[0]) == (
        1,
        "The recorded plans were measured with 900000 products and 20000 orders",
    )
    assert shop_of_one.file.read_text() == text


def test_another_plan_of_rows_that_are_not_there_says_nothing(shop_of_one):
    missing = BY_KEY.replace("id=700", "id=(SELECT MAX(id) FROM products WHERE price < 0)")
    there = missing.replace("price < 0", "price > 0")
    shop_of_one(there, "accept")
    text = shop_of_one.file.read_text()
    shop_of_one.file.write_text(text.replace("price > 0", "price < 0"))

    status, lines = shop_of_one(missing, "compare")

    assert (status, len(lines), lines[0].endswith(": sql/a/b.sql")) == (0, 1, True), lines


def test_another_plan_of_a_table_with_hardly_any_rows_says_nothing(shop_of_one, sized):
    few = (
        NAMED.replace("id=700", "id=1").replace("255", "50")
        + "SELECT user_name AS name FROM import_parts WHERE id >= %(id)s"
    )
    whole = few.replace("import_parts", "import_parts IGNORE INDEX (PRIMARY)")
    shop_of_one(few, "accept")

    status, lines = shop_of_one(whole, "compare")

    assert (status, lines[0].endswith(": sql/a/b.sql")) == (0, True), lines


def test_what_is_measured_is_taken_back(shop_of_one, sized):
    changing = (
        HEADER.replace("many", "count") + "-- changes: products\nUPDATE products SET name = 'x' WHERE id = %(id)s"
    )

    assert shop_of_one(changing, "accept")[0] == 0

    assert execute(sized.owner, "SELECT COUNT(*) AS n FROM products WHERE name = 'x'") == [{"n": 0}]
    assert recorded(shop_of_one.file)["a/b: id=700"][0]["reads"] == 1
