"""`server.py sql NAME --analyze`: the tree of a statement as it was run, and what stands out in it, in words."""

import re
import shutil

import pytest
from helpers import as_url

from commands import sql as sql_command
from commands.sql_analyze import tree, warnings
from commands.sql_analyze_steps import of_mariadb, of_mysql
from core.db.statement import parse
from core.setup.system import ROOT

HEADER = "-- Something.\n-- used by: a test\n"
DIGITS = "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4)"


@pytest.fixture
def analyzed(typed, accounts, sql, tmp_path, monkeypatch):
    """`analyzed(text)`: put a file into a copy of sql/, and analyze it; return all lines that are printed."""
    shutil.copytree(ROOT / "sql", tmp_path / "sql")
    monkeypatch.setattr(sql_command, "ROOT", tmp_path)

    def run(text, *words):
        (tmp_path / "sql/cart/tried.sql").write_text(text)
        status, output, errors = typed("sql", "cart/tried", "--analyze", *words, DATABASE_URL=as_url(accounts.owner))
        assert status == 0, errors
        return output.splitlines()

    return run


@pytest.fixture
def many(sql, make):
    """So many products that a server plans as for a shop of size: 3,125."""
    category = make.category("Lamps")
    five = [f"{DIGITS} AS {name}" for name in "abcde"]
    sql(
        "INSERT INTO products (name, description, price, stock_quantity, category_id) "
        f"SELECT CONCAT('Lamp ', a.d, b.d, c.d, d.d, e.d), RPAD('', 300, 'x'), 1 + a.d + b.d, c.d, {category} "
        f"FROM {' CROSS JOIN '.join(five)}"
    )
    sql("ANALYZE TABLE products")
    return 3125


def many_rows(body, columns="id INT", *header):
    """Return a file that returns rows."""
    return "\n".join([HEADER.rstrip(), "-- returns: many", f"-- columns: {columns}", *header, body])


def test_each_step_has_rows_estimate_loops_and_time_and_parts_stand_below_what_needs_them(analyzed, many):
    lines = analyzed(
        many_rows(
            "SELECT p.id FROM (SELECT id FROM products ORDER BY id LIMIT 7) AS page\n"
            "JOIN products AS p ON p.id = page.id ORDER BY p.id"
        )
    )

    assert lines[0].split() == ["rows", "estimated", "loops", "ms", "step"]
    (inner,) = [line for line in lines if re.search(r"(one row of|lookup on) p (by|using) PRIMARY", line)]
    rows, _, loops, ms, *_ = inner.split()
    assert (rows, loops) == ("1", "7") and float(ms) > 0
    step = lines[0].index("step")
    assert len(inner[step:]) > len(inner[step:].lstrip())


def test_where_nothing_stands_out_it_says_so(analyzed, many):
    lines = analyzed(many_rows("SELECT id FROM products WHERE id BETWEEN 1 AND 5 ORDER BY id LIMIT 5"))

    assert lines[-2:] == ["", "Nothing stands out."]


def test_a_full_scan_a_sort_and_a_temporary_table_are_named_with_table_and_rows(analyzed, many):
    lines = analyzed(
        many_rows(
            "SELECT LEFT(description, 3) AS d, COUNT(*) AS n FROM products GROUP BY d ORDER BY n, d",
            "d TEXT NULL, n BIGINT",
        )
    )

    said = lines[lines.index("") + 1 :]
    assert f"full scan of products: {many:,} rows; the header does not allow it" in said
    assert "filesort on products: 1 row; the header does not allow it" in said
    assert [line for line in said if line.startswith("temporary table on products")]


def test_what_the_header_allows_is_said_with_its_line(analyzed, many):
    lines = analyzed(
        many_rows(
            "SELECT id FROM products ORDER BY description, id",
            "id INT",
            "-- allow: full scan, filesort on products (a test)",
        )
    )

    assert f"full scan of products: {many:,} rows; allowed by line 5 of sql/cart/tried.sql" in lines
    assert f"filesort on products: {many:,} rows; allowed by line 5 of sql/cart/tried.sql" in lines


def test_an_index_that_is_read_whole_is_named(analyzed, many):
    lines = analyzed(many_rows("SELECT id FROM products FORCE INDEX (PRIMARY) ORDER BY id"))

    assert f"full index scan of products (all of PRIMARY): {many:,} rows; the header does not allow it" in lines


def test_a_page_in_the_order_of_an_index_is_no_full_scan(analyzed, many):
    lines = analyzed(many_rows("SELECT id FROM products ORDER BY id LIMIT 5"))

    assert lines[-1] == "Nothing stands out."


def test_rows_that_were_estimated_wrong_are_said_with_both_numbers(analyzed, sql, many):
    """The server believes that a fresh table is empty."""
    step = of_mysql(
        "-> Filter: (p.category_id = 7)  (cost=5 rows=2) (actual time=0.1..9.5 rows=4000 loops=1)\n"
        "    -> Index lookup on p using ix_products_category_name (category_id = 7)  (cost=5 rows=3)"
        " (actual time=0.1..9 rows=4000 loops=1)\n"
    )

    said = warnings(step, parsed("SELECT p.id FROM products AS p WHERE p.category_id = 7"), "MySQL")

    assert (
        "p: 3 rows were estimated and 4,000 read, 1,333 times as many; ANALYZE TABLE renews what the server knows of it"
        in said
    )


def test_fewer_rows_than_estimated_are_no_mistake_where_a_limit_ends_it():
    text = (
        "-> Limit: 5 row(s)  (cost=1 rows=5) (actual time=0.1..0.2 rows=5 loops=1)\n"
        "    -> Index scan on p using PRIMARY  (cost=1 rows=90000) (actual time=0.1..0.2 rows=5 loops=1)"
    )

    assert warnings(of_mysql(text), parsed("SELECT p.id FROM products AS p ORDER BY p.id LIMIT 5"), "MySQL") == []
    (said,) = warnings(of_mysql(text), parsed("SELECT p.id FROM products AS p ORDER BY p.id"), "MySQL")
    assert said.startswith("p: 90,000 rows were estimated and 5 read, 18,000 times as few; ")


def test_a_condition_that_keeps_few_of_many_rows_is_said():
    top = of_mariadb(
        '{"query_block": {"select_id": 1, "r_loops": 1, "r_total_time_ms": 5, "nested_loop": [{"table": {'
        '"table_name": "p", "access_type": "ref", "key": "ix", "used_key_parts": ["a"], "ref": ["1"], "r_loops": 1, '
        '"rows": 5000, "r_rows": 5000, "r_table_time_ms": 3, "r_other_time_ms": 1, "r_filtered": 0.2}}]}}'
    )

    (said, _) = warnings(top, parsed("SELECT p.id FROM products AS p"), "MariaDB")

    assert said.startswith("p: 5,000 rows were read, and the condition kept 0.2 % of them; an index with its columns ")


def test_a_subquery_that_runs_for_each_row_is_said(analyzed, many):
    lines = analyzed(
        many_rows(
            "SELECT p.id, (SELECT MAX(quantity) FROM cart_items AS c WHERE product_id = p.id AND quantity > p.price)"
            " AS n\nFROM products AS p ORDER BY p.id",
            "id INT, n INT NULL",
        )
    )

    assert any(re.fullmatch(r"[Ss]elect #2 was run 3,125 times, once for each row", line) for line in lines), lines


def test_a_sort_that_goes_to_the_disk_is_said(analyzed, sql, many):
    lines = analyzed(
        many_rows(
            "SELECT a.id FROM products AS a JOIN products AS b ON b.stock_quantity = a.stock_quantity AND b.price = 1\n"
            "ORDER BY CONCAT(a.description, b.description), a.id"
        )
    )

    assert any("on the disk" in line for line in lines), lines


def test_the_step_that_takes_most_of_the_time_is_named(analyzed, many):
    lines = analyzed(
        many_rows("SELECT id FROM products WHERE SHA2(REPEAT(description, 30), 512) = 'x' ORDER BY id"),
    )

    assert re.fullmatch(r"[0-9]+% of the time is in: .*products.*|[0-9]+% of the time is in: Filter.*", lines[-1])


def test_a_change_is_analyzed_and_rolled_back(typed, accounts, make, sql):
    lamps = make.category("Lamps")
    make.products(3, category_id=lamps)
    words = ["sql", "products/update", "--analyze"]

    status, output, errors = typed(*words, DATABASE_URL=as_url(accounts.owner))

    if "does not analyze" not in errors:  # MySQL: only what reads, and joins
        assert status == 0 and "update, range of products by PRIMARY" in output
    assert sql("SELECT COUNT(*) AS n FROM products WHERE name LIKE 'Product %'") == [{"n": 3}]


def parsed(body):
    """Return a statement with this body."""
    return parse("cart/tried", "sql/cart/tried.sql", HEADER + f"-- returns: many\n-- columns: id INT\n{body}")


OF_MYSQL = """\
-> Nested loop left join  (cost=1025 rows=21) (actual time=0.0353..0.0964 rows=21 loops=1)
    -> Sort: `page`.price, `page`.id  (cost=1011..1011 rows=21) (actual time=0.0283..0.029 rows=21 loops=1)
        -> Table scan on page  (cost=998..1000 rows=21) (actual time=0.0207..0.0223 rows=21 loops=1)
            -> Materialize  (cost=998..998 rows=21) (actual time=0.0203..0.0203 rows=21 loops=1)
                -> Limit: 21 row(s)  (cost=993 rows=21) (actual time=0.0135..0.0161 rows=21 loops=1)
                    -> Filter: (products.`name` <> '  (cost=1 rows=2)
(actual')  (cost=993 rows=1e+6) (actual time=0.0132..0.0149 rows=21 loops=1)
                        -> Covering index lookup on products using ix_products_price (is_active = 1)  (cost=993 \
rows=9863) (actual time=0.0132..0.0149 rows=21 loops=1)
    -> Single-row index lookup on c using PRIMARY (id = p.category_id)  (cost=0.255 rows=1) (actual time=14e-5..200e-6 \
rows=0.5 loops=21)
    -> Index lookup on d using ix (id = 1)  (cost=0.255 rows=1) (never executed)
"""


def test_mysqls_tree_is_read_with_all_forms_of_its_numbers():
    lines = tree(of_mysql(OF_MYSQL))

    cells = [line.split() for line in lines]
    assert cells[1][:4] == ["21", "21", "1", "0.096"]
    assert cells[6][:6] == ["21", "1,000,000", "1", "0.015", "Filter:", "(products.`name`"]
    assert cells[8][:4] == ["0.5", "1", "21", "0.004"]
    assert cells[9][:3] == ["1", "never", "Index"]
    steps = [line[lines[0].index("step") :] for line in lines[1:]]
    assert [len(step) - len(step.lstrip()) for step in steps] == [0, 3, 6, 9, 12, 15, 18, 3, 3]


def test_what_mysql_has_made_itself_is_no_full_scan():
    steps = {step.text: step for _, step in of_mysql(OF_MYSQL).walk()}

    assert steps["Table scan on page"].made == "derived"


def test_what_mysql_does_not_run_step_by_step_is_told_apart():
    assert of_mysql("-> <not executable by iterator executor>\n") is None


def test_an_object_of_older_mariadb_that_names_a_key_twice_loses_no_table():
    text = (
        '{"query_block": {"select_id": 1, "r_loops": 1, "r_total_time_ms": 2, '
        '"table": {"table_name": "a", "access_type": "ALL", "r_loops": 1, "rows": 5, "r_rows": 5}, '
        '"table": {"table_name": "b", "access_type": "eq_ref", "key": "ix", "r_loops": 5, "rows": 1, "r_rows": 1}}}'
    )

    assert [step.table for _, step in of_mariadb(text).walk()] == ["", "a", "b"]
