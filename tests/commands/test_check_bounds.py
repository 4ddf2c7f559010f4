"""What a header promises of its samples, `index:`, `reads:` and `rows:`, and `check --plans`, which proves it."""

import contextlib

import pytest
from helpers import execute

from commands import check_bounds, check_plans
from commands.check_schema import Schema
from core.db.drivers import connect
from core.db.statement import parse

PRICED = "SELECT id FROM products FORCE INDEX (ix_products_price) WHERE is_active = 1 AND price <= %(price)s"


@pytest.fixture
def broken(accounts, make):
    """`broken(body, *header lines)`: the problems of a statement, where there are 30 products for 1 to 30 euros."""
    for price in range(1, 31):
        make.product(price=price)

    def look(body, *header, returns="many"):
        lines = "".join(f"-- {line}\n" for line in ("params:", "  price", *header))
        text = f"-- Something.\n-- used by: a test\n-- returns: {returns}\n{lines}{body}"
        statement = parse("a/b", "sql/a/b.sql", text)
        with contextlib.closing(connect(accounts.owner, 10)) as connection, connection.cursor() as cursor:
            server = "MariaDB" if "MariaDB" in connection.get_server_info() else "MySQL"
            report = check_plans.look(cursor, [statement], server)
            return [str(problem) for problem in check_bounds.broken(cursor, report, Schema(cursor, server))]

    execute(accounts.owner, "ANALYZE TABLE products")
    return look


def test_what_is_promised_and_kept_is_no_problem(broken):
    promises = ("index: products ix_products_price", "reads: at most 6", "rows: at most 5", "sample: price=5")

    assert broken(PRICED, *promises) == []


@pytest.mark.parametrize(
    ("promise", "told"),
    [
        ("rows: at most 4", "'rows: at most 4': there are 5 with the sample price=5"),
        ("reads: at most 4", "'reads: at most 4': 6 are read with the sample price=5"),
        (
            "index: products ix_products_name ix_products_newest",
            "'index: products ix_products_name ix_products_newest': products is read by a range of ix_products_price "
            "(6 bytes), covering with the sample price=1",
        ),
    ],
)
def test_a_promise_that_a_sample_breaks_is_told_at_its_line(broken, promise, told):
    assert broken(PRICED, "sample: price=1", "sample: price=5", promise) == [f"sql/a/b.sql:8: {told}"]


def test_a_table_that_is_read_whole_breaks_the_promise_of_an_index(broken):
    whole = "SELECT image_url FROM products WHERE stock_quantity < %(price)s"

    (problem,) = broken(whole, "index: products ix_products_price", "sample: price=5")

    assert problem.startswith("sql/a/b.sql:6: 'index: products ix_products_price': products is read whole with")


def test_a_table_of_hardly_any_rows_may_be_read_in_any_way(broken):
    few = "SELECT document FROM import_parts WHERE user_id < %(price)s"

    assert broken(few, "index: import_parts PRIMARY", "sample: price=5") == []


def test_a_change_is_measured_and_taken_back(broken, sql):
    change = "UPDATE products SET name = 'x' WHERE id BETWEEN (SELECT %(price)s) AND 1000000000"

    (problem,) = broken(change, "sample: price=1", "changes: products", "reads: at most 3", returns="count")

    assert problem.startswith("sql/a/b.sql:8: 'reads: at most 3': 3") and problem.endswith(
        "are read with the sample price=1"
    )
    assert sql("SELECT COUNT(*) AS n FROM products WHERE name = 'x'") == [{"n": 0}]


def test_what_cannot_be_measured_is_told(broken):
    second = "INSERT INTO products (id, name, price) SELECT id, name, price FROM products WHERE price = %(price)s"

    (problem,) = broken(second, "changes: products", "reads: at most 50", "sample: price=1", returns="count")

    assert problem.startswith("sql/a/b.sql:7: 'reads: at most 50': it cannot be measured (Duplicate entry")


def test_a_change_of_very_many_rows_is_not_made_to_measure_it(broken, monkeypatch):
    monkeypatch.setattr(check_bounds, "MOST_CHANGED", 5)

    (problem,) = broken(
        "DELETE FROM products WHERE stock_quantity > %(price)s",
        "changes: products",
        "reads: at most 5",
        "sample: price=0",
        returns="count",
    )

    assert problem == (
        "sql/a/b.sql:7: 'reads: at most 5': the server expects to read 30 rows to change some with the sample price=0"
    )
