"""What a server decided for a statement, as a text that can be kept, and what has changed since, in words."""

import contextlib

import pytest

from commands.check_decisions import changes, decision, indexes, tables
from core.db.drivers import connect
from core.db.statement import parse

HEADER = "-- Something.\n-- used by: a test\n-- returns: "
CHANGES = "count\n-- changes: "
PAGE = (
    "derived ALL, sort > products eq_ref PRIMARY/4 > categories eq_ref PRIMARY/4 "
    "| DERIVED: products range ix_products_price/6, covering"
)


@pytest.fixture
def decided(accounts, make):
    """`decided(body)`: the decision of the server at hand, with some products."""
    category = make.category()
    make.products(30, category_id=category)

    def explain(body, returns="many"):
        with contextlib.closing(connect(accounts.owner, 10)) as connection, connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN FORMAT=TRADITIONAL {body}")
            server = "MariaDB" if "MariaDB" in connection.get_server_info() else "MySQL"
            return decision(cursor.fetchall(), parse("a/b", "sql/a/b.sql", f"{HEADER}{returns}\n{body}"), server)

    return explain


@pytest.mark.parametrize(
    ("body", "decided_so"),
    [
        ("SELECT name FROM products WHERE id = -1", "no_row"),
        ("SELECT p.name FROM products AS p WHERE p.id > 7 AND p.id < 9", "products range PRIMARY/4"),
        ("SELECT name FROM products WHERE description = 'x'", "products ALL"),
        (
            "SELECT id FROM products FORCE INDEX (ix_products_price) WHERE is_active = 1 AND price = 3",
            "products ref ix_products_price/6, covering",
        ),
        (
            "SELECT image_url FROM products IGNORE INDEX (PRIMARY) ORDER BY image_url",
            "products ALL, sort",
        ),
        (
            "SELECT stock_quantity, COUNT(*) AS n FROM products GROUP BY stock_quantity ORDER BY NULL",
            "products ALL, temporary table",
        ),
        (
            "SELECT a.image_url FROM products AS a STRAIGHT_JOIN categories AS b ON b.id = a.category_id",
            "products ALL > categories eq_ref PRIMARY/4, covering",
        ),
        ("SELECT name FROM products WHERE 1 = 0", "nothing"),
    ],
)
def test_tables_access_index_sort_and_temporary_table_are_told_and_no_estimate(decided, body, decided_so):
    assert decided(body) == decided_so


def test_a_change_has_a_decision_too(decided):
    update = "UPDATE products SET name = 'x' WHERE id BETWEEN 3 AND 4"
    insert = "INSERT INTO categories (name) SELECT image_url FROM products WHERE image_url = 'x'"

    assert decided(update, f"{CHANGES}products") == "products range PRIMARY/4"
    assert decided(insert, f"{CHANGES}categories") == "products ALL"


def test_a_plan_that_stays_has_no_changes():
    assert changes(PAGE, PAGE) == []


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (
            PAGE.replace("range ix_products_price/6, covering", "ALL, sort"),
            "products of DERIVED is read whole, sort (before: is read by a range of ix_products_price (6 bytes), "
            "covering)",
        ),
        (
            PAGE.replace("price/6", "price/1"),
            "products of DERIVED is read by a range of ix_products_price (1 bytes), covering (before: is read by a "
            "range of ix_products_price (6 bytes), covering)",
        ),
        (
            PAGE.replace("derived ALL, sort", "derived ALL"),
            "derived is read whole (before: is read whole, sort)",
        ),
        (
            PAGE.replace(" > categories eq_ref PRIMARY/4", ""),
            "categories is not read any more (before: is looked up row by row in PRIMARY (4 bytes))",
        ),
        (
            PAGE + " | UNION: users ALL",
            "users of UNION is new in the plan and is read whole",
        ),
        (
            "derived ALL, sort > categories eq_ref PRIMARY/4 > products eq_ref PRIMARY/4 "
            "| DERIVED: products range ix_products_price/6, covering",
            "the order is derived, categories, products, products of DERIVED (before: derived, products, categories, "
            "products of DERIVED)",
        ),
    ],
)
def test_each_change_is_said_in_words(now, words):
    assert changes(PAGE, now) == [words]


def test_the_tables_and_the_indexes_of_a_plan_are_known_without_what_the_server_makes():
    merged = "products index_merge ix_a+ix_b/4,5, several indexes | UNION: no_row | DERIVED: document ALL"

    assert tables(PAGE) == {"products", "categories"}
    assert indexes(PAGE) == {("products", "PRIMARY"), ("products", "ix_products_price"), ("categories", "PRIMARY")}
    assert (tables(merged), indexes(merged)) == ({"products"}, {("products", "ix_a"), ("products", "ix_b")})


def test_a_text_that_is_no_plan_is_refused():
    with pytest.raises(ValueError, match="nobody writes: 'ALL of it!'"):
        changes(PAGE, "ALL of it!")
