"""`server.py sql`: statements by name, with values: listed, run, tried, written, and printed for other clients."""

import csv
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

import pytest
from helpers import as_url, at_once, command, environment, eventually, execute, is_one_sentence

from commands import sql as sql_command
from core.db.drivers import DatabaseError
from core.db.statements import Statements
from core.setup.system import ROOT

LISTED = "products/list_price"
HEADER = "-- Something.\n-- used by: a test\n"


@pytest.fixture
def ask(typed, accounts, sql):
    """`ask(*words)`: type `server.py sql …` on the tests' database; return (exit status, output, errors)."""
    return lambda *words: typed("sql", *words, DATABASE_URL=as_url(accounts.owner))


@pytest.fixture
def read_once(monkeypatch):
    """The shop's files are read once, for tests that ask for each of them."""
    statements = Statements(ROOT / "sql")
    monkeypatch.setattr(sql_command, "Statements", lambda folder, **options: statements)
    return statements


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """`edited(name, text)`: put a file into a copy of sql/, which is used from then on."""
    shutil.copytree(ROOT / "sql", tmp_path / "sql")
    monkeypatch.setattr(sql_command, "ROOT", tmp_path)

    def put(name, text):
        path = tmp_path / "sql" / f"{name}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    return put


# The list


def test_without_a_name_all_statements_are_listed_with_what_they_return_and_do(typed):
    status, output, errors = typed("sql")

    lines = output.splitlines()
    listed = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines[1:]}
    assert (status, errors) == (0, "")
    assert lines[0].split() == ["name", "returns", "what", "it", "does"]
    assert {name: returns for name, (returns, _) in listed.items()} == {
        statement.name: statement.returns for statement in Statements(ROOT / "sql")
    }
    assert listed["products/get"][1].startswith("One product on sale")


@pytest.mark.parametrize("words", [["cart/a"], ["sql/cart/a"], ["./sql/cart/a"]])
def test_the_beginning_of_names_filters_the_list(typed, words):
    status, output, _ = typed("sql", *words)

    assert status == 0
    assert [line.split()[0] for line in output.splitlines()[1:]] == ["cart/add", "cart/add_own"]


def test_the_list_needs_no_database(typed):
    status, output, _ = typed("sql", "cart", DATABASE_URL="mysql://shop@127.0.0.1:1/shop")

    assert status == 0 and "cart/clear" in output


def test_a_file_that_is_wrong_is_named_below_the_list(typed, edited):
    edited("cart/wrong", HEADER + "-- returns: many\nSELECT * FROM carts")

    status, output, errors = typed("sql", "cart/")

    assert status == 1
    assert "cart/clear" in output
    assert errors == "sql/cart/wrong.sql:4: SELECT names its columns: no *\n"


@pytest.fixture
def overlay(typed, accounts, tmp_path):
    """`overlay(name, edit)`: tune a statement in a folder of its own; return the settings that use it."""

    def tune(name, edit):
        settings = {"SQL_OVERLAY": str(tmp_path / "tuned"), "DATABASE_URL": as_url(accounts.owner)}
        status, _, errors = typed("overlay", name, **settings)
        assert status == 0, errors
        path = tmp_path / "tuned" / f"{name}.sql"
        path.write_text(edit(path.read_text()))
        return settings

    return tune


def test_a_tuned_version_is_what_runs_and_its_path_is_shown_in_the_list_and_on_each_run(typed, overlay, make, tmp_path):
    id = make.product("Lamp")
    settings = overlay("products/get", lambda text: text.replace("p.id, p.name", "p.id, UPPER(p.name) AS name"))

    _, output, _ = typed("sql", "products/g", **settings)
    _, row, errors = typed("sql", "products/get", f"id={id}", "--json", **settings)

    path = tmp_path / "tuned/products/get.sql"
    assert re.search(rf"^products/get +one +\({path}\) One product on sale", output, re.M)
    assert json.loads(row)["name"] == "LAMP"
    assert errors.startswith(f"{path}: id={id}\n")


def test_a_tuned_version_that_was_made_for_an_older_file_is_named(typed, overlay, make, tmp_path):
    id = make.product("Lamp")
    older = overlay("products/get", lambda text: re.sub("-- replaces: .*", f"-- replaces: {'0' * 64}", text))

    listed, run = typed("sql", "products/", **older), typed("sql", "products/get", f"id={id}", **older)
    other = typed("sql", "cart/", **older)

    said = f"Your {tmp_path}/tuned/products/get.sql was made for an older sql/products/get.sql"
    assert said in listed[2] and said in run[2] and other[2] == ""


def test_a_tuned_version_that_is_wrong_is_named_and_not_run(typed, overlay):
    settings = overlay("products/get", lambda text: text.replace("p.id, p.name", "p.*"))

    status, output, errors = typed("sql", "products/get", "id=1", **settings)

    assert (status, output) == (1, "")
    assert re.match(r"/.*/tuned/products/get\.sql:\d+: SELECT names its columns: no \*\n", errors)


# Names and values that are wrong


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["products/list_pric", "limit=1"], r"There is no statement 'products/list_pric'; did you mean products/list_"),
        (["prodcuts/get"], r"There is no statement 'prodcuts/get'; did you mean products/get"),
        (["list_price"], r"There is no statement 'list_price'; did you mean products/list_price\?"),
        (["qqqqqqq"], r"There is no statement 'qqqqqqq'\. python3 server\.py sql lists them all\."),
        (["--json"], r"Name a statement, as products/get\. "),
        ([LISTED, "limt=1"], rf"sql/{LISTED}\.sql has no parameter 'limt'; did you mean limit\? It has category_ids, "),
        (["categories/list", "a=1"], r"sql/categories/list\.sql has no parameter 'a'\. It has none\."),
        ([LISTED, "5"], r"'5' is no parameter: write name=value, as in limit=5\."),
        ([LISTED, "limit=1", "limit=2"], r"limit is given twice\."),
        ([LISTED, "limit=many"], r"limit wants a number, as 21 in its sample; 'many' is none\."),
        ([LISTED, "category_ids=a,b"], r"category_ids wants numbers, as in category_ids=3,4; 'a,b' are none\."),
        ([LISTED, "limit='1"], r"The value of limit is none of NULL, a number, a 'text', "),
        ([LISTED, "limit=(SELECT 1"], r"The \(SELECT …\) of limit is not closed\."),
        ([LISTED, "limit=\udcff"], r"The value of limit is no UTF-8\."),
        ([LISTED, "--json", "--csv"], r"Argument --csv: not allowed with argument --json\."),
        ([LISTED, "--no-such"], r"Unrecognized arguments: --no-such\."),
        (["cart/clear", "--write", "--print"], r"--print changes nothing, so --write does not go with it\."),
        ([LISTED, "--write"], rf"sql/{LISTED}\.sql changes nothing, so there is nothing for --write to commit\."),
    ],
)
def test_what_is_wrong_with_the_command_line_is_said_in_a_sentence(ask, words, said):
    status, output, errors = ask(*words)

    assert (status, output) == (2, "")
    assert re.match(said, errors) and is_one_sentence(errors), errors


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["limit=(SELECT nothing)"],
            rf"sql/{LISTED}\.sql:\d+: the \(SELECT …\) of limit gives no value: .*nothing.*\.$",
        ),
        (["limit=2.5"], rf"sql/{LISTED}\.sql: the database refuses it: .*\(error 1\d+\)\. Nothing is changed\."),
    ],
)
def test_what_the_database_says_against_a_value_is_said_with_the_file(ask, words, said):
    status, output, errors = ask(LISTED, *words)

    assert (status, output) == (1, "")
    assert re.match(said, errors.splitlines()[-1]), errors


def test_a_statement_that_the_schema_does_not_fit_is_named_with_its_line(ask, edited):
    edited("cart/wrong", HEADER + "-- returns: many\n-- columns: colour INT\nSELECT id AS colour\nFROM no_such_table")

    status, output, errors = ask("cart/wrong")

    assert (status, output) == (1, "")
    assert errors.splitlines()[-1].startswith("sql/cart/wrong.sql:6: ")


def test_a_pending_migration_is_mentioned_since_it_explains_what_is_missing(ask, edited, sql):
    edited("cart/wrong", HEADER + "-- returns: many\n-- columns: id INT\nSELECT id\nFROM no_such_table")
    (row,) = sql("SELECT version, name, checksum FROM schema_migrations ORDER BY version DESC LIMIT 1")
    sql("DELETE FROM schema_migrations WHERE version = %s", [row["version"]])
    try:
        errors = ask("cart/wrong")[2]
    finally:
        put_back = "INSERT INTO schema_migrations (version, name, checksum, finished_at) VALUES (%s, %s, %s, NOW())"
        sql(put_back, list(row.values()))

    assert errors.endswith("1 migration(s) are pending. Apply them: python3 server.py migrate\n")


def test_an_edit_whose_header_is_not_true_yet_runs_and_what_is_wrong_is_said(ask, edited, make):
    make.product("Lamp")
    edited("cart/tried", HEADER + "-- returns: many\n-- columns: id INT\nSELECT id, name\nFROM products ORDER BY id")

    status, output, errors = ask("cart/tried", "--json")

    assert status == 0 and json.loads(output)[0]["name"] == "Lamp"
    assert "sql/cart/tried.sql:5: returns name, which '-- columns:' does not declare" in errors


def test_a_broken_header_elsewhere_is_in_nobodys_way(ask, edited, make):
    id = make.product("Lamp")
    edited("cart/wrong", "SELECT 1")

    assert ask("products/get", f"id={id}")[0] == 0
    status, _, errors = ask("cart/wrong")
    assert status == 1 and errors.startswith("sql/cart/wrong.sql:1: the header is missing")


# Running one that reads


def test_rows_are_an_aligned_table_with_the_count_and_the_time_at_the_end(ask, make):
    category = make.category("Lamps")
    make.product("Lamp", price="1234.50", category_id=category)
    make.product("A lamp with a very long name, which nobody would want to read in a table", price="9")

    status, output, errors = ask(LISTED, "limit=5")

    lines = output.splitlines()
    name, price = lines[0].index("name"), lines[0].index("price") + len("price")
    assert status == 0 and len(lines) == 4
    assert lines[2][name:].startswith("A lamp with a very long name, which nob…  ")
    assert lines[2][:price].endswith("   9.00") and lines[3][:price].endswith("1234.50")
    assert lines[2][:name].strip().isdigit() and lines[2].split("  ")[0] != ""
    assert re.search(r"^2 rows in [0-9.]+ ms\.\n\Z", errors, re.M)


def test_what_is_not_given_is_as_in_the_first_sample_and_that_is_said(ask):
    _, _, errors = ask(LISTED, "limit=5", "category_ids=(3, 4)")

    assert errors.splitlines()[0] == (
        f"sql/{LISTED}.sql: category_ids=(3, 4), limit=5; from its sample: offset=0; "
        "NULL: in_order, min_price, max_price, in_stock, after_value, after_id"
    )


def test_a_query_of_a_sample_is_asked_and_its_value_is_said(ask, make):
    id = make.product("Lamp")

    _, output, errors = ask("products/get")

    assert errors.splitlines()[0] == f"sql/products/get.sql: from its sample: id={id}"
    assert output.splitlines()[1].split() == ["name", "Lamp"]


def test_options_and_values_may_stand_in_any_order(ask, make):
    category = make.category("Lamps")
    make.products(3, category_id=category)

    asked = [LISTED, f"category_ids={category}", "limit=2", "--json"]
    turned = [asked[-1], *asked[:-1]]
    within = [*asked[:2], "--json", asked[2]]

    answers = [json.loads(ask(*words)[1]) for words in (asked, turned, within)]

    assert answers[0] == answers[1] == answers[2] and len(answers[0]) == 2


def test_the_singular_of_a_list_stands_for_the_list(ask, make):
    lamps, chairs = make.category("Lamps"), make.category("Chairs")
    make.product("Lamp", category_id=lamps)
    make.product("Chair", category_id=chairs)

    (one,) = json.loads(ask(LISTED, f"category_id={chairs}", "limit=5", "--json")[1])
    both = json.loads(ask(LISTED, f"category_ids={lamps},{chairs}", "limit=5", "--json")[1])

    assert one["name"] == "Chair"
    assert len(both) == 2


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("alice", "alice"),
        ("'alice'", "alice"),
        ("'it''s'", "it's"),
        ("it's", "it's"),
        ("12345", "12345"),  # the sample's is a text
        ("2026-01-01", "2026-01-01"),
        ("", ""),
        ("NULL", None),
        ("null", None),
        ("'NULL'", "NULL"),
        ("(SELECT 'ali' AS a)", "ali"),
        ("Ünï 😀", "Ünï 😀"),
    ],
)
def test_a_text_needs_no_quotes_and_a_number_is_one_where_the_sample_has_one(ask, edited, written, meant):
    text = HEADER + "-- returns: one\n-- columns: a TEXT NULL\n-- params:\n--   a\n-- sample: a='x'\n"
    edited("cart/echo", text + "SELECT %(a)s AS a")

    status, output, errors = ask("cart/echo", f"a={written}", "--json")

    assert status == 0, errors
    assert json.loads(output) == {"a": meant}


def test_one_row_is_a_record_with_all_of_its_texts(ask, make):
    text = "Bright. " * 50
    id = make.product("Lamp", description=text)

    _, output, errors = ask("products/get", f"id={id}")

    assert f"description     {text.strip()}" in output
    assert "1 row in " in errors


def test_no_row_is_none(ask):
    assert ask("products/get", "id=77")[1].splitlines()[0].split()[:2] == ["id", "name"]
    assert ask("products/get", "id=77", "--json")[1] == "null\n"
    assert ask(LISTED, "limit=1", "--json")[1] == "[]\n"


def test_what_a_terminal_would_obey_is_shown_as_text(ask, make):
    id = make.product("\x1b[31mred\x07\nline\u202e")

    for words in ([LISTED, "limit=1"], ["products/get", f"id={id}"]):
        output = ask(*words)[1]
        assert r"\x1b[31mred\x07\nline\u202e" in output
        assert "\x1b" not in output and "\x07" not in output


def test_csv_gives_back_what_is_stored(ask, make):
    names = ['He said "5", then\r\nleft', "=1+1", " spaces ", "Ünï 😀", "\\N"]
    for name in names:
        make.product(name, price="9.90", category_id=None)

    output = ask(LISTED, "limit=9", "--csv")[1]

    rows = list(csv.DictReader(io.StringIO(output, newline="")))
    assert [row["name"] for row in rows] == names
    assert {(row["price"], row["category_name"], row["is_active"]) for row in rows} == {("9.90", "", "1")}


def test_json_has_exact_decimals_booleans_and_times(ask, make):
    make.product("Lamp", price="9.90", created_at="2026-01-02 03:04:05")

    output = ask(LISTED, "limit=1", "--json")[1]

    assert '"price":9.90,' in output and '"is_active":true,' in output
    assert '"created_at":"2026-01-02T03:04:05Z"' in output


def test_what_reads_can_change_nothing_whatever_it_calls(ask, edited, make, sql):
    make.cart("visitor", make.product())
    try:
        sql("CREATE FUNCTION sneaks() RETURNS INT MODIFIES SQL DATA BEGIN DELETE FROM cart_items; RETURN 1; END")
    except DatabaseError as error:
        pytest.skip(f"this account may make no function: {error}")
    edited("cart/sneaks", HEADER + "-- returns: one\n-- columns: a INT NULL\nSELECT sneaks() AS a")

    status, _, errors = ask("cart/sneaks")
    sql("DROP FUNCTION sneaks")

    assert status == 1
    assert "READ ONLY transaction" in errors
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 1}]


# Running one that changes


def test_without_write_a_change_is_run_counted_and_rolled_back(ask, make, sql):
    id = make.product("Lamp")
    make.cart("visitor", id)

    status, output, errors = ask("cart/clear", "session_id=visitor")

    assert (status, output) == (0, "")
    assert re.search(
        r"^1 row of cart_items touched, in [0-9.]+ ms\. Rolled back: nothing is changed\. --write commits\.$",
        errors,
        re.M,
    )
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 1}]


def test_with_write_it_is_committed(ask, make, sql):
    id = make.product("Lamp")
    make.cart("visitor", id)

    status, output, errors = ask("cart/clear", "session_id=visitor", "--write", "--json")

    assert (status, json.loads(output)) == (0, {"count": 1})
    assert re.search(r"^1 row of cart_items touched, in [0-9.]+ ms\. Committed\.$", errors, re.M)
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 0}]


def test_write_takes_no_value_from_a_sample(ask, make, sql):
    id = make.product("Lamp")
    make.cart("visitor", id)

    status, _, errors = ask("cart/clear", "--write")

    assert status == 2
    assert errors == "sql/cart/clear.sql needs session_id too: --write takes no value from a sample.\n"
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 1}]


def test_a_new_row_tells_its_id(ask, sql):
    _, _, tried = ask("categories/add", "name=Lamps", "description=NULL")
    _, output, errors = ask("categories/add", "name=Lamps", "description=NULL", "--write", "--json")

    (row,) = sql("SELECT id, name FROM categories")
    assert "Rolled back" in tried
    assert json.loads(output) == {"id": row["id"]}
    assert f"1 row of categories touched, the id is {row['id']}, in " in errors


def test_a_constraint_that_refuses_a_change_is_a_sentence_and_nothing_is_changed(ask, make, sql):
    make.category("Lamps")

    status, output, errors = ask("categories/add", "name=Lamps", "description=NULL", "--write")

    assert (status, output) == (1, "")
    said = r"sql/categories/add\.sql: the database refuses it: Duplicate entry 'Lamps' .*\(error 1062\)\. Nothing is ch"
    assert re.match(said, errors.splitlines()[-1])
    assert len(sql("SELECT id FROM categories")) == 1


@pytest.mark.parametrize("way", [[], ["--analyze"]])
def test_what_commits_by_itself_is_not_tried(ask, edited, make, sql, way):
    edited("cart/truncate", HEADER + "-- returns: count\n-- changes: cart_items\nTRUNCATE TABLE cart_items")
    make.cart("visitor", make.product())

    status, _, errors = ask("cart/truncate", *way)

    assert status == 1
    assert "is a TRUNCATE, which commits by itself. It cannot be rolled back: with --write it is run." in errors
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 1}]
    assert ask("cart/truncate", "--write")[0] == 0
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 0}]


def test_no_statement_of_the_shop_changes_anything_without_write(ask, make, sql, read_once):
    """Each with its sample, run and analyzed: all tables are as they were."""
    product = make.product("Lamp", category_id=make.category("Lamps"))
    make.cart("visitor", product)
    make.order((product, 1, "10.00"))
    listed = "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()"
    tables = [row["name"] for row in sql(listed)]
    before = {table: sql(f"CHECKSUM TABLE {table}") for table in tables}
    changing = [s.name for s in read_once if s.changes]

    for name in changing:
        for way in ([], ["--analyze"]):
            ask(name, *way)

    assert len(changing) > 50
    assert {table: sql(f"CHECKSUM TABLE {table}") for table in tables} == before


def test_two_that_write_at_once_both_count(accounts, sql, make):
    id = make.product("Lamp", stock=10)
    words = ["sql", "products/change_stock", f"id={id}", "change=-1", "largest=99", "--write"]

    done = at_once([lambda: command(*words, DATABASE_URL=as_url(accounts.owner))] * 4)

    assert [one.returncode for one in done] == [0] * 4, done[0].stderr
    assert sql("SELECT stock_quantity AS n FROM products") == [{"n": 6}]


# Plans, and the text


def test_explain_shows_the_plan_and_runs_nothing(ask, make, sql):
    make.cart("visitor", make.product())

    status, output, _ = ask("cart/clear", "session_id=visitor", "--explain")

    assert status == 0
    assert output.splitlines()[0].split()[:3] == ["id", "select_type", "table"]
    assert "cart_items" in output
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 1}]


NASTY = [
    "it's",
    "back\\slash",
    "\\",
    "\\'",
    "'; DROP TABLE carts; -- ",
    '"quoted"',
    "tab\there\nline\r\nend",
    "zero\0and\x1aeof",
    "100%",
    "%s %(a)s",
    "Ünï 😀 ß",
    "/* not a comment */ -- nor this # nor this",
]


@pytest.mark.parametrize("text", NASTY)
def test_what_is_printed_means_the_same_to_any_client(ask, edited, accounts, text):
    edited(
        "cart/echo",
        HEADER
        + "-- returns: one\n-- columns: a TEXT, percent TEXT\n-- params:\n--   a\n--   b\n-- sample: a='x', b=1\n"
        "SELECT HEX(%(a)s) AS a, '100%%' AS percent\nFROM (SELECT 1 AS b) AS t\nWHERE b = %(b)s AND %(a)s <> 'other'",
    )
    quoted = "'" + text.replace("'", "''") + "'"

    status, printed, errors = ask("cart/echo", f"a={quoted if text.startswith(chr(39)) else text}", "--print")

    assert status == 0, errors
    hexadecimal = text.encode().hex().upper()
    assert execute(accounts.owner, printed.partition("\n")[2][:-2]) == [{"a": hexadecimal, "percent": "100%"}]
    if accounts.owner.unix_socket and shutil.which("mariadb"):
        client = [
            "mariadb",
            "--no-defaults",
            f"--socket={accounts.owner.unix_socket}",
            "--batch",
            accounts.owner.database,
        ]
        done = subprocess.run(client, input=printed, capture_output=True, text=True)
        assert done.stdout.splitlines() == ["a\tpercent", f"{hexadecimal}\t100%"], done.stderr


def test_every_statement_can_be_printed_and_is_one_that_the_server_takes(ask, accounts, make, read_once):
    product = make.product("Lamp", category_id=make.category("Lamps"))
    make.cart("visitor", product)
    make.order((product, 1, "10.00"))

    for statement in read_once:
        status, printed, errors = ask(statement.name, "--print")

        assert status == 0, errors
        settings, _, text = printed.partition("\n")
        assert settings == "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_520_ci; SET time_zone = '+00:00';"
        assert text.startswith(f"/* {statement.name} */ ") and text.endswith(";\n")
        execute(accounts.owner, f"EXPLAIN {text[:-2]}")


def test_what_the_documentation_types_works_as_it_stands(ask, make):
    product = make.product("Lamp", category_id=make.category("Lamps"))
    make.cart("my-cart", product)
    typed = re.findall(r"^    python3 server\.py sql(.*)$", (ROOT / "docs/sql.md").read_text(encoding="utf-8"), re.M)

    done = [ask(*shlex.split(words, comments=True)) for words in typed]

    assert len(done) == 8
    assert [status for status, _, _ in done] == [0] * len(done), done
    assert all(output or "Rolled back" in errors for _, output, errors in done)


# The database


@pytest.mark.slow
def test_it_works_with_the_private_database_whether_or_not_the_shop_serves(start, tmp_path):
    data = str(tmp_path / "data")
    alone = command("migrate", DATA_DIR=data)
    assert alone.returncode == 0, alone.stderr
    alone = command("sql", "products/count", "--json", DATA_DIR=data)

    start("--workers", "1", DATA_DIR=data)
    beside = command("sql", "products/count", "--json", DATA_DIR=data)

    assert (alone.returncode, beside.returncode) == (0, 0), alone.stderr + beside.stderr
    assert list(json.loads(alone.stdout).values()) == [0]
    assert list(json.loads(beside.stdout).values()) > [0]


@pytest.mark.slow
def test_ctrl_c_stops_the_statement_in_the_database_too(program_copy, accounts, sql):
    text = HEADER + "-- returns: one\n-- columns: a INT\nSELECT SLEEP(50) AS a FROM DUAL"
    (program_copy / "sql/cart/sleeps.sql").write_text(text)
    running = "SELECT id FROM information_schema.processlist WHERE info LIKE '/* cart/sleeps%'"
    process = subprocess.Popen(
        [sys.executable, str(program_copy / "server.py"), "sql", "cart/sleeps"],
        env=environment(DATABASE_URL=as_url(accounts.owner)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert eventually(lambda: sql(running))

    os.kill(process.pid, signal.SIGINT)

    printed, _ = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "Traceback" not in printed
    assert eventually(lambda: not sql(running))
