"""One file of sql/: what its header must say, and what its text may hold."""

import decimal

import pytest

from core.db.plan_hints import Query
from core.db.statement import Problem, parse

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


WRONG = {
    "no header": ("SELECT id FROM products\n", "1: the header is missing"),
    "no purpose": (GOOD.split("\n", 1)[1], "1: the header is missing"),
    "blank purpose": (GOOD.replace(" Products at one price; one page.", ""), "1: the header is missing"),
    "no used by": (GOOD.replace("-- used by: GET /api/products\n", ""), "1: the header has no '-- used by: …' line"),
    "empty used by": (GOOD.replace(": GET /api/products", ":"), "1: the header has no '-- used by: …' line"),
    "no returns": (GOOD.replace("-- returns: many\n", ""), "1: the header has no '-- returns: …' line"),
    "unknown returns": (GOOD.replace("many", "rows"), "3: 'returns: rows': it is not one of one, many, count, id"),
    "returns twice": (GOOD.replace("-- params", "-- returns: one\n-- params"), "4: 'returns:' is there twice"),
    "params twice": (GOOD.replace("SELECT", "-- params:\nSELECT"), "6: 'params:' is there twice"),
    "undeclared": (GOOD.replace("BY id", "BY %(sort)s"), "9: parameter sort is not declared under '-- params:'"),
    "unused": (GOOD.replace("price = %(price)s", "1"), "1: parameter price is declared and not used"),
    "declared twice": (GOOD.replace("SELECT", "--   price  again\nSELECT"), "6: parameter price is declared twice"),
    "bare %": (GOOD.replace("ORDER", "AND name LIKE 'a%'\nORDER"), "9: a bare % would be taken for a parameter"),
    "bare % in a comment": (GOOD.replace("ORDER", "/* 5 % */\nORDER"), "9: a bare % would be taken for a parameter"),
    "positional": (GOOD.replace("BY id", "BY %s"), "9: a bare % would be taken for a parameter"),
    "two statements": (GOOD + ";\n\nDELETE FROM products;\n", "10: one statement a file"),
    "replica of what changes": (
        with_body("DELETE FROM t", returns="count", params="-- changes: t\n-- replica: ok\n"),
        "5: 'replica: ok': only what reads, and locks nothing, can run on a replica",
    ),
    "replica of what locks": (
        with_body("SELECT id FROM t FOR UPDATE", params="-- replica: ok\n"),
        "4: 'replica: ok': only what reads, and locks nothing, can run on a replica",
    ),
    "replica that may not": (
        with_body("SELECT id FROM t", params="-- replica: no\n"),
        "4: 'replica: no': it wants 'ok', or no such line",
    ),
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
    "delete with an id": (with_body("DELETE FROM t", "id"), "4: 'returns: id' wants INSERT or UPDATE, and the"),
    "punctuation": (with_body("?"), "4: 'returns: many' wants SELECT or WITH, and the statement begins with ?"),
    "no statement": (with_body("\n  \n"), "there is no statement after the header"),
    "only a semicolon": (with_body("\n;\n"), "5: there is no statement after the header"),
    "empty file": ("", "1: the header is missing"),
}
WRONG_LINES = {  # of the header
    "sample: price=5, prize=6": "the sample gives a value to prize, which is no parameter of the statement",
    "sample: price=5, price=6": "the sample gives price two values",
    "sample: price=": "the value of price is none of NULL, a number, a 'text', a list of numbers or a (SELECT …)",
    "sample: price=cheap": "the value of price is none of NULL, a number, a 'text', a list of numbers or a (SELECT …)",
    "sample: price=(1, 2)": "price must have a list where the statement has IN %(price)s, and only there",
    "sample: 5": "'sample:' wants name=value, separated by commas; it has '5'",
    "sample: price=5 price=6": "after the value of price the sample wants a comma; it has ' price=6'",
    "sample: price=(SELECT MAX(price) FROM products": "the (SELECT …) of price is not closed",
    "sample: price=5,\n--   prize=6": "the sample gives a value to prize",
    "allow: filesort": "'allow: filesort' gives no reason: say in parentheses why that stays cheap",
    "allow: filesort on products ( )": "'allow: filesort on products ( )' gives no reason",
    "allow: everything (why not)": "'allow: everything (why not)' wants one of full scan, filesort, temporary table;",
    "allow: filesort on carts (few)": "allows something on carts, which the statement does not name",
    "allow: filesort in Oracle (few)": "'in Oracle' is none of in MariaDB, in MySQL",
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_file_and_line(case):
    source, said = WRONG[case]

    problem = problem_of(source)

    assert problem.startswith("sql/products/list.sql:")
    assert said in problem


@pytest.mark.parametrize("line", WRONG_LINES)
def test_a_sample_or_an_allowance_that_is_wrong_is_said_with_its_line(line):
    problem = problem_of(GOOD.replace("SELECT", f"-- {line}\nSELECT", 1))

    assert problem.startswith(f"sql/products/list.sql:6: {WRONG_LINES[line]}")


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


LISTED = """\
-- Some of them.
-- used by: a test
-- returns: many
-- params:
--   ids    (0): all
--   price
-- sample: ids=(3, 1,2), price=5
-- sample: ids=(SELECT id FROM t)
-- sample:
SELECT id FROM t WHERE (0 IN %(ids)s OR id IN %(ids)s) AND price = %(price)s
"""


def test_a_parameter_behind_in_is_a_list_and_one_of_only_0_where_a_sample_does_not_name_it():
    statement = parse("a/b", "a", LISTED)

    assert statement.lists == {"ids"}
    assert [sample.values for sample in statement.samples] == [
        {"ids": (3, 1, 2), "price": 5},
        {"ids": Query("SELECT id FROM t"), "price": None},
        {"ids": (0,), "price": None},
    ]


def test_prepared_has_the_parentheses_of_a_list_that_the_driver_writes_otherwise():
    prepared = parse("a/b", "a", LISTED).prepared()

    assert prepared == "/* a/b */ SELECT id FROM t WHERE (0 IN (?) OR id IN (?)) AND price = ?"


def test_a_sample_gives_no_number_where_the_statement_has_a_list():
    with pytest.raises(Problem, match=r"a:7: ids must have a list where the statement has IN %\(ids\)s"):
        parse("a/b", "a", LISTED.replace("(3, 1,2)", "3"))


def test_a_free_note_after_the_parameters_may_mention_anything():
    noted = GOOD.replace("SELECT", "-- plan: ix, 100 % of it; see %(this)s\n--   sort  is no parameter\nSELECT")

    assert parse("a/b", "a", noted).params == {"price": "exact"}
