"""What the keys of a header may say, and how one header is like another."""

import pytest
from test_statement import with_body

from core.db.columns import Column
from core.db.statement import Problem, parse

SELECT = "SELECT id FROM products"


def header_of(*lines, body=SELECT, returns="many"):
    """Return the header of a file with these lines."""
    return parse("a/b", "sql/a/b.sql", with_body(body, returns, "".join(f"-- {line}\n" for line in lines))).header


def test_every_key_is_understood():
    header = header_of(
        "columns: id INT, price DECIMAL(10, 2), name VARCHAR(255) NULL,",
        "  total BIGINT UNSIGNED NULL",
        "index: products ix_a ix_b; categories PRIMARY",
        "reads: at most 100",
        "rows: at most 21",
        "timeout: 200ms",
    )

    assert header.columns == {
        "id": Column("INT", False),
        "price": Column("DECIMAL(10,2)", False),
        "name": Column("VARCHAR(255)", True),
        "total": Column("BIGINT UNSIGNED", True),
    }
    assert header.indexes == [("products", ("ix_a", "ix_b")), ("categories", ("PRIMARY",))]
    assert (header.reads, header.rows, header.timeout) == (100, 21, 0.2)
    assert header.title == "Something."
    assert header.used_by == "GET /api/products"


WRONG = {
    "columns: id": "'columns:' wants 'name TYPE' or 'name TYPE NULL', separated by commas; it has 'id'",
    "columns: id int": "'columns:' wants 'name TYPE'",
    "columns: id INT, id INT": "column id is declared twice",
    "columns: ": "'columns:' wants 'name TYPE'",
    "changes: products": "'changes: products': 'returns: many' changes nothing",
    "index: products": "'index: products': it wants a table and its index",
    "reads: 100": "'reads: 100': it wants 'at most' and a whole number",
    "rows: at most many": "'rows: at most many': it wants 'at most' and a whole number",
    "timeout: 0s": "'timeout: 0s': it wants a time such as 200ms or 5s",
    "timeout: soon": "'timeout: soon': it wants a time such as 200ms or 5s",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_a_key_cannot_say_is_a_problem_of_its_line(line):
    with pytest.raises(Problem) as caught:
        header_of(line)

    assert str(caught.value).startswith(f"sql/a/b.sql:4: {WRONG[line]}")


@pytest.mark.parametrize("lines", [[], ["changes: carts"], ["changes: carts, products"]])
def test_a_statement_that_changes_what_its_header_does_not_say_is_a_problem(lines):
    with pytest.raises(Problem, match="the statement changes products, and no other table"):
        header_of(*lines, body="DELETE FROM products", returns="count")


def test_a_header_names_the_tables_that_change():
    assert header_of("changes: products", body="DELETE FROM products", returns="count").changes == {"products"}


def test_only_a_select_has_a_timeout_and_only_rows_have_columns():
    with pytest.raises(Problem, match="only a statement that begins with SELECT"):
        header_of("timeout: 1s", body="WITH a AS (SELECT 1 AS n) SELECT n FROM a")
    with pytest.raises(Problem, match="'returns: count' has no columns"):
        header_of("changes: products", "columns: id INT", body="DELETE FROM products", returns="count")


# Like another one


BASE = parse(
    "a/base",
    "sql/a/base.sql",
    with_body(
        "SELECT id FROM products WHERE id > %(after)s LIMIT %(limit)s",
        params="-- columns: id INT\n-- params:\n--   after\n--   limit\n-- sample: after=1, limit=2\n",
    ),
)


def like(body, *lines):
    """Return the statement of a file that is like BASE."""
    text = "".join(
        f"-- {line}\n" for line in ("Something.", "used by: a test", "returns: many", "like: a/base", *lines)
    )
    return parse("a/b", "sql/a/b.sql", text + body, like=BASE)


def test_what_is_like_another_has_its_parameters_columns_and_samples():
    statement = like("SELECT id FROM products WHERE id < %(after)s ORDER BY id DESC LIMIT %(limit)s")

    assert statement.params == BASE.params
    assert statement.columns == BASE.columns
    assert [sample.values for sample in statement.samples] == [{"after": 1, "limit": 2}]


def test_what_it_says_itself_counts():
    statement = like(
        "SELECT id FROM products WHERE id < %(after)s LIMIT %(limit)s", "sample: after=9, limit=1", "columns: id BIGINT"
    )

    assert [sample.values for sample in statement.samples] == [{"after": 9, "limit": 1}]
    assert statement.columns == {"id": Column("BIGINT", False)}


def test_it_must_use_the_same_parameters():
    with pytest.raises(Problem, match="parameter after is declared and not used"):
        like("SELECT id FROM products LIMIT %(limit)s")
