"""`server.py check --plans`: how the server would run every statement, with 20,000 products and orders."""

import re
import shutil

import pytest
from helpers import as_url, command, execute, options
from large import PRODUCTS

from commands import check, check_plans
from core.config import Config
from core.db import effects
from core.db.database import DatabaseError
from core.db.drivers import connect
from core.db.statement import parse
from core.setup.system import ROOT

pytestmark = pytest.mark.slow

THERE = f"{PRODUCTS} products and {PRODUCTS} orders"


@pytest.fixture
def looked(sized):
    """`looked(body, header, params)`: the Report on a statement of sql/a/b.sql, whose first line is its sample."""
    connection = connect(sized.owner, 10)
    server = "MariaDB" if "MariaDB" in connection.get_server_info() else "MySQL"

    def look(body, *header, returns="many"):
        if returns in ("count", "id"):
            header = (f"changes: {', '.join(effects.changed_by(body))}", *header)
        lines = "".join(f"-- {line}\n" for line in header)
        text = f"-- Something.\n-- used by: a test\n-- returns: {returns}\n{lines}{body}"
        with connection.cursor() as cursor:
            return check_plans.look(cursor, [parse("a/b", "sql/a/b.sql", text)], server)

    look.server = server
    look.other = {"MariaDB": "MySQL", "MySQL": "MariaDB"}[server]
    yield look
    connection.close()


def said(report):
    """Return what a report says against plans, each without its advice."""
    return [str(problem).split(". ")[0] for problem in report.problems]


def test_every_statement_of_the_shop_has_a_good_plan(sized):
    done = command("check", "--plans", DATABASE_URL=as_url(sized.owner))

    first, *hints, last = done.stdout.splitlines()
    assert first.endswith(": all right."), done.stdout
    assert re.fullmatch(
        rf"[0-9]+ plans of (MariaDB|MySQL) [0-9.]+ checked, with {THERE}: all right\.",
        last,
    ), done.stdout
    assert [hint for hint in hints if ": no plan needs 'allow: " not in hint] == []  # rows are only estimated
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bad_plan_is_told_with_file_line_and_what_to_do_and_the_exit_status_is_1(
    sized, tmp_path, monkeypatch, capsys
):
    for noun in ("seed", "products"):
        (tmp_path / "sql" / noun).mkdir(parents=True)
    for name in ("seed/counts", "products/stop_words", "products/has_word"):  # what the command itself runs
        shutil.copy(ROOT / "sql" / f"{name}.sql", tmp_path / "sql" / f"{name}.sql")
    bad = (
        "-- Something.\n-- used by: server.py check\n-- returns: many\n-- columns: id INT\n-- params:\n--   a\n--   b\n"
        "-- sample: a=1, b='x'\nSELECT id FROM products WHERE stock_quantity = %(a)s OR name = %(b)s"
    )
    (tmp_path / "sql" / "products" / "bad.sql").write_text(bad)
    monkeypatch.setattr(check, "ROOT", tmp_path)

    status = check.run(options(check, plans=True), Config(database=sized.owner), None)

    lines = [line for line in capsys.readouterr().out.splitlines() if ": no plan needs 'allow: " not in line]
    assert status == 1
    assert lines[1] == (
        "sql/products/bad.sql:8: full scan of products with the sample a=1, b='x'. Change the statement or its "
        "indexes, or say why it stays cheap: -- allow: full scan on products (…)"
    )
    assert lines[2].endswith(f"checked, with {THERE}: 1 wrong.")
    assert len(lines) == 3


BAD = {
    "a table read whole": ("SELECT name FROM products WHERE description LIKE 'x%%'", ["full scan of products"]),
    "under another name": ("SELECT p.name FROM products AS p WHERE p.image_url = 'x'", ["full scan of products"]),
    "an index read whole": (
        "SELECT MAX(price + 1) FROM products FORCE INDEX (ix_products_price)",
        ["full scan of products (all of ix_products_price)"],
    ),
    "in order, but past what does not match": (
        "SELECT id FROM products WHERE stock_quantity = -1 ORDER BY id LIMIT 5",
        ["full scan of products (all of PRIMARY)"],
    ),
    "sorted": (
        "SELECT id FROM products WHERE is_active = 1 AND category_id = 1 ORDER BY description LIMIT 5",
        ["filesort on products"],
    ),
    "grouped": (
        "SELECT stock_quantity FROM products WHERE category_id = 1 GROUP BY stock_quantity ORDER BY NULL",
        ["temporary table on products"],
    ),
    "sorted within": (
        "SELECT p.id, p.name FROM (SELECT id FROM products WHERE category_id = 1 ORDER BY image_url LIMIT 5) AS page "
        "JOIN products AS p ON p.id = page.id",
        ["filesort on products"],
    ),
    "of two tables": (
        "SELECT u.id FROM products AS p STRAIGHT_JOIN users AS u ON u.password_hash = p.name WHERE p.id < 10",
        ["full scan of users"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_reads_all_or_sorts_or_keeps_rows_aside_is_refused_by_its_table(looked, case):
    body, told = BAD[case]

    assert said(looked(body)) == [f"sql/a/b.sql:4: {what}" for what in told]


COUNTED = {"products": "stock_quantity", "cart_items": "quantity", "users": "username"}  # table: a column to compare


@pytest.mark.parametrize(
    ("body", "table"),
    [
        ("UPDATE products SET stock_quantity = 0 WHERE image_url = 'x'", "products"),
        ("UPDATE cart_items AS i STRAIGHT_JOIN products AS p ON p.id = i.product_id SET i.quantity = 1", "cart_items"),
        ("DELETE FROM users WHERE password_hash = 'x'", "users"),
        ("DELETE FROM users", "users"),
        ("INSERT INTO categories (name) SELECT name FROM products WHERE image_url = 'x'", "products"),
    ],
)
def test_a_change_is_judged_too_and_nothing_is_changed(looked, sized, body, table):
    before = execute(sized.owner, f"SELECT COUNT(*) AS n, SUM(CRC32({COUNTED[table]})) AS state FROM {table}")

    (problem,) = said(looked(body, returns="count"))

    assert problem.startswith(f"sql/a/b.sql:5: full scan of {table}")
    assert before == execute(sized.owner, f"SELECT COUNT(*) AS n, SUM(CRC32({COUNTED[table]})) AS state FROM {table}")


@pytest.mark.parametrize(
    "body",
    [
        "SELECT id FROM products ORDER BY id LIMIT 20 OFFSET 100",
        "SELECT page.id FROM (SELECT id FROM products WHERE is_active = 1 ORDER BY price, id LIMIT 5) AS page",
        "SELECT MAX(id) FROM products",
        "SELECT a.n FROM (SELECT 1 AS n UNION ALL SELECT 2) AS a",
        "SELECT j.id FROM JSON_TABLE('[1, 2]', '$[*]' COLUMNS (id INT PATH '$')) AS j",
    ],
)
def test_what_is_read_in_order_or_made_by_the_server_itself_is_no_full_scan(looked, body):
    report = looked(body)

    assert said(report) == []
    assert len(report.plans) == 1


def test_a_table_of_hardly_any_rows_is_not_judged_and_the_file_is_named(looked):
    report = looked("SELECT document FROM import_parts WHERE document = 'x'")

    assert (said(report), report.unseen) == ([], {"sql/a/b.sql"})


def test_an_insert_and_a_truncate_are_no_full_scan(looked):
    assert said(looked("INSERT INTO categories (name) VALUES ('x')", returns="id")) == []
    assert said(looked("TRUNCATE TABLE categories", returns="count")) == []


SORTED = "SELECT id FROM products WHERE category_id = 1 ORDER BY image_url"


@pytest.mark.parametrize(
    "allowed", ["filesort", "full scan and filesort", "filesort on products", "filesort on products up to 100000 rows"]
)
def test_what_the_header_allows_with_a_reason_passes(looked, allowed):
    assert said(looked(SORTED, f"allow: {allowed} (a test)")) == []


@pytest.mark.parametrize(
    "allowed", ["full scan on products", "temporary table", "filesort on derived", "filesort on products up to 5 rows"]
)
def test_another_kind_another_table_and_more_rows_are_not_allowed_by_it(looked, allowed):
    assert said(looked(SORTED, f"allow: {allowed} (a test)")) == ["sql/a/b.sql:5: filesort on products"]


def test_what_is_allowed_in_one_server_is_not_allowed_in_the_other(looked):
    assert said(looked(SORTED, f"allow: filesort in {looked.server} (a test)")) == []
    assert said(looked(SORTED, f"allow: filesort in {looked.other} (a test)")) == [
        "sql/a/b.sql:5: filesort on products"
    ]


def test_what_is_allowed_on_the_rows_of_a_page_is_not_allowed_within(looked):
    body = (
        f"SELECT p.id, p.name FROM ({SORTED} LIMIT 5) AS page JOIN products AS p ON p.id = page.id ORDER BY p.image_url"
    )

    report = looked(body, "allow: filesort and temporary table on derived (a page)")

    assert said(report) == ["sql/a/b.sql:5: filesort on products"]


def test_what_is_allowed_and_not_needed_is_mentioned(looked):
    plain = "SELECT id FROM products WHERE id = 5"

    report = looked(plain, "allow: filesort (a test)", f"allow: full scan in {looked.other} (a test)")

    assert report.problems == []
    assert report.hints == [
        "sql/a/b.sql:4: no plan needs 'allow: filesort' here. Remove it, or say in which server it is needed."
    ]


PRICED = "SELECT id FROM products WHERE (%(price)s IS NULL OR price = %(price)s) AND is_active = 1 ORDER BY id"
PARAMS = ("params:", "  price")


def test_every_sample_has_its_plan_and_the_first_that_fails_is_named(looked):
    report = looked(
        "SELECT id FROM products WHERE id = %(id)s OR (%(id)s IS NULL AND image_url = 'x')",
        "params:",
        "  id",
        "sample: id=7",
        "sample:",
        "sample: id=(SELECT MAX(id) FROM products)",
    )

    assert len(report.plans) == 3
    assert said(report) == ["sql/a/b.sql:7: full scan of products"]


def test_a_list_has_all_rows_of_its_select_and_is_no_condition_where_there_are_none(looked):
    report = looked(
        "SELECT image_url FROM products WHERE (0 IN %(ids)s OR id IN %(ids)s)",
        "params:",
        "  ids",
        "sample: ids=(1, 2)",
        "sample: ids=(SELECT id FROM products WHERE id < 10)",
        "sample: ids=(SELECT id FROM products WHERE id < 0)",
    )

    assert len(report.plans) == 3
    assert said(report) == [
        "sql/a/b.sql:8: full scan of products with the sample ids=(SELECT id FROM products WHERE id < 0)"
    ]


def test_a_plan_that_two_samples_have_is_told_once(looked):
    report = looked(
        "SELECT id FROM products WHERE image_url = %(url)s",
        "params:",
        "  url",
        "sample: url='x'",
        "sample: url=(SELECT MAX(image_url) FROM products WHERE id < 100)",
    )

    assert said(report) == ["sql/a/b.sql:6: full scan of products with the sample url='x' and 1 more"]


def test_parameters_without_a_sample_are_a_problem(looked):
    (problem,) = looked(PRICED, *PARAMS).problems

    assert str(problem) == "sql/a/b.sql:1: there is no '-- sample: …' of its parameters to explain it with"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("(SELECT no_such_column FROM products)", "no_such_column"),
        ("(SELECT id, price FROM products LIMIT 1)", "too many values"),
    ],
)
def test_a_sample_that_cannot_be_had_is_told_with_its_line(looked, query, told):
    (problem,) = looked(PRICED, *PARAMS, f"sample: price={query}").problems

    assert str(problem).startswith("sql/a/b.sql:6: the (SELECT …) of price gives no value: ")
    assert told in str(problem)


def test_a_statement_that_cannot_be_explained_is_told(looked):
    (problem,) = looked("SELECT id FROM products LIMIT %(limit)s", "params:", "  limit", "sample: limit='x'").problems

    assert str(problem).startswith("sql/a/b.sql:7: cannot be explained: ")


def test_a_plan_that_was_not_to_be_had_is_told(looked):
    report = looked(
        "SELECT name FROM users WHERE id = %(id)s".replace("name", "username"), "params:", "  id", "sample:"
    )

    assert report.unseen == {"sql/a/b.sql"}
    assert report.problems == report.hints == []


def test_a_database_that_goes_away_is_no_fault_of_the_statements(sized):
    statement = parse("a/b", "sql/a/b.sql", "-- Something.\n-- used by: a test\n-- returns: many\nSELECT 1")
    connection = connect(sized.owner, 10)
    cursor = connection.cursor()
    connection.close()

    with pytest.raises(DatabaseError):
        check_plans.look(cursor, [statement], "MariaDB")
