"""Both drivers behave alike: what core/db/drivers.py promises, by PyMySQL and by mysqlclient, against a real server.

mysqlclient as it is where libmariadb-dev is installed. On MySQL's own C library it is stricter about TLS.
"""

import contextlib
import dataclasses
import datetime
import io
import socket
import threading
import time
from decimal import Decimal

import pymysql
import pytest
from helpers import as_url, command, execute, free_port

from core import database_url
from core.cli import CommandError
from core.db import drivers
from core.db.database import Database
from core.db.drivers import DatabaseError, connect, number
from core.db.mysql_errors import LOST
from core.db.pymysql_rows import LARGEST_PACKET, TESTED_WITH, QuickConnection
from core.db.statements import Statements
from core.setup.system import ROOT


@pytest.fixture
def owner(accounts, login):
    """The owner's login, by each of the drivers: it alone is told that a table does not exist."""
    return dataclasses.replace(accounts.owner, driver=login.driver)


@pytest.fixture
def db(login, sql):
    """A Database by each of the drivers."""
    return Database(login, Statements(ROOT / "sql"), 2.0)


@contextlib.contextmanager
def refused():
    """Expect a DatabaseError; give a list that will hold its number."""
    codes = []
    with pytest.raises(DatabaseError) as caught:
        yield codes
    codes.append(number(caught.value))


# Values


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("42", 42),
        ("9007199254740993", 9007199254740993),
        ("'ä😀'", "ä😀"),
        ("CAST('19.90' AS DECIMAL(10, 2))", Decimal("19.90")),
        ("1.5e0", 1.5),
        ("TIMESTAMP '2026-01-31 12:00:01'", datetime.datetime(2026, 1, 31, 12, 0, 1)),
        ("CAST('2026-01-31 12:00:01.25' AS DATETIME(2))", datetime.datetime(2026, 1, 31, 12, 0, 1, 250000)),
        ("CAST('2026-01-31 12:00:01' AS DATETIME(6))", datetime.datetime(2026, 1, 31, 12, 0, 1)),
        ("DATE '2026-01-31'", datetime.date(2026, 1, 31)),
        ("UNHEX('FF00')", b"\xff\x00"),
        ("CONCAT(7, '{}')", "7{}"),
        ("CAST('abc' AS CHAR CHARACTER SET ascii) COLLATE ascii_bin", "abc"),
        ("NULL", None),
    ],
)
def test_a_value_is_read_as_its_type(login, expression, value):
    (row,) = execute(login, f"SELECT {expression} AS v")

    assert (row["v"], type(row["v"])) == (value, type(value))


def test_a_tinyint_is_a_boolean(login, make, sql):
    for active in (True, False):
        make.product(is_active=active)

    rows = execute(login, "SELECT is_active FROM products ORDER BY id")

    assert [row["is_active"] for row in rows] == [True, False]
    assert {type(row["is_active"]) for row in rows} == {bool}


def test_a_zero_date_is_read_as_text(login):
    with connect(login, 2) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = ''")
        cursor.execute("SELECT CAST('0000-00-00 00:00:00' AS DATETIME) AS v")

        assert cursor.fetchone() == {"v": "0000-00-00 00:00:00"}


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (7, "7"),
        (True, "1"),
        (None, "NULL"),
        (Decimal("0.10"), "0.10"),
        ('it\'s 100 % \\ "ä😀"', "'it''s 100 %% \\\\ \"ä😀\"'"),
        (b"\x00\xff", "X'00FF'"),
        (datetime.datetime(2026, 1, 31, 12, 0, 1), "'2026-01-31 12:00:01'"),
    ],
)
def test_a_value_is_sent_as_what_it_is(login, value, literal):
    (row,) = execute(login, f"SELECT %s <=> {literal} AS same", [value])

    assert row["same"] == 1


@pytest.mark.parametrize("ids", [(7,), (1, 7, 10**18)])
def test_a_tuple_behind_in_is_a_list(login, ids):
    (row,) = execute(login, "SELECT 7 IN %(ids)s AS there, 8 IN %(ids)s AS not_there", {"ids": ids})

    assert (row["there"], row["not_there"]) == (1, 0)


@pytest.mark.parametrize("length", [0, 1, 250, 251, 252, 65_535, 65_536, 70_000])
def test_a_value_of_any_length_is_read_whole(login, length):
    row = execute(login, "SELECT 1 AS before_it, REPEAT('ä', %s) AS v, NULL AS nothing, 2 AS behind", [length])[0]

    assert row == {"before_it": 1, "v": "ä" * length, "nothing": None, "behind": 2}


def test_results_are_read_as_pymysql_itself_reads_them(login):
    statement = (
        "SELECT 1 AS a, -5 AS b, 1e300 AS c, CAST(1.50 AS DECIMAL(9, 2)) AS d, DATE '2026-01-31' AS e, "
        "TIME '10:00:00' AS f, NULL AS g, X'FF' AS h, 'ä' AS i, b'101' AS j, CAST(7 AS UNSIGNED) AS k, "
        "TIMESTAMP '2026-01-31 12:00:01' AS l, JSON_EXTRACT('[1]', '$') AS m UNION ALL SELECT 2, 3, 4, 5.25, "
        "'2026-02-01', '11:00:00', NULL, X'00', '', b'1', 8, '2026-02-01 00:00:00', '{}'"
    )
    place = {"host": login.host, "unix_socket": login.unix_socket, "port": login.port, "charset": "utf8mb4"}
    plain = pymysql.connections.Connection(
        **place, user=login.user, password=login.password, cursorclass=pymysql.cursors.DictCursor, ssl_disabled=True
    )
    with plain, plain.cursor() as cursor:
        cursor.execute(statement)
        theirs = [dict(row) for row in cursor.fetchall()]

    assert execute(login, statement) == theirs
    assert execute(login, "SELECT 1 AS a FROM DUAL WHERE 1 = 0") == []


def test_the_columns_are_those_of_this_time(owner, sql):
    """What is known of a statement's columns is not taken for granted: a migration may have changed them."""
    execute(owner, "CREATE TABLE changing (v INT)")
    try:
        execute(owner, "INSERT INTO changing VALUES (5)")
        with connect(owner, 5) as connection, connection.cursor() as cursor:
            seen = []
            for change in ("", "ALTER TABLE changing MODIFY v VARCHAR(9)", "ALTER TABLE changing ADD w INT DEFAULT 7"):
                if change:
                    execute(owner, change)
                cursor.execute("SELECT * FROM changing")
                seen.append(cursor.fetchone())
    finally:
        execute(owner, "DROP TABLE changing")

    assert seen == [{"v": 5}, {"v": "5"}, {"v": "5", "w": 7}]


def received(*packets):
    """Return a connection to which these bytes have come."""
    connection = QuickConnection(defer_connect=True)
    connection._rfile, connection._next_seq_id = io.BytesIO(b"".join(packets)), 1
    return connection


def test_a_packet_of_16_mib_goes_on_in_the_next():
    whole = b"x" * LARGEST_PACKET

    assert received(b"\xff\xff\xff\x01", whole, b"\x02\x00\x00\x02", b"yz").next_packet() == whole + b"yz"
    assert received(b"\xff\xff\xff\x01", whole, b"\x00\x00\x00\x02").next_packet() == whole


@pytest.mark.parametrize("packets", [b"", b"\x05\x00", b"\x05\x00\x00\x01ab", b"\x01\x00\x00\x07a"])
def test_an_answer_that_is_cut_off_or_out_of_order_is_a_lost_connection(packets):
    with refused() as codes:
        received(packets).next_packet()

    assert codes == [2013]


def test_an_error_in_the_middle_of_the_rows_is_raised(login):
    with connect(login, 5) as connection, connection.cursor() as cursor:
        with refused() as codes:
            cursor.execute("SELECT n, (SELECT 1 UNION SELECT n) AS two FROM (SELECT 1 AS n UNION SELECT 2) AS x")
        cursor.execute("SELECT 5 AS v")

        assert codes == [1242]
        assert cursor.fetchone() == {"v": 5}


def test_bytes_are_sent_as_bytes_and_not_as_text(login):
    assert execute(login, "SELECT CHARSET(%s) AS v", [b"\xff"]) == [{"v": "binary"}]


def test_a_percent_sign_is_doubled_only_beside_parameters(login):
    assert execute(login, "SELECT '%' AS v") == [{"v": "%"}]
    assert execute(login, "SELECT '%%' AS v, %(a)s AS a", {"a": "%s"}) == [{"v": "%", "a": "%s"}]


# Sessions


def test_a_connection_speaks_utf8_with_the_shops_collation(login):
    (row,) = execute(login, "SELECT @@character_set_client AS client, @@collation_connection AS coll")

    assert row == {"client": "utf8mb4", "coll": "utf8mb4_unicode_520_ci"}


def test_each_statement_is_committed_by_itself_until_begin(login, make, sql):
    tea = make.product(stock=5)
    with connect(login, 2) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE products SET stock_quantity = 6 WHERE id = %s", (tea,))
        alone = sql("SELECT stock_quantity AS n FROM products")
        connection.begin()
        cursor.execute("UPDATE products SET stock_quantity = 7 WHERE id = %s", (tea,))
        begun = sql("SELECT stock_quantity AS n FROM products")
        connection.rollback()
        rolled_back = sql("SELECT stock_quantity AS n FROM products")
        connection.begin()
        cursor.execute("UPDATE products SET stock_quantity = 8 WHERE id = %s", (tea,))
        connection.commit()

    assert [rows[0]["n"] for rows in (alone, begun, rolled_back)] == [6, 6, 6]
    assert sql("SELECT stock_quantity AS n FROM products") == [{"n": 8}]


def test_only_rows_that_change_are_counted_and_an_insert_tells_its_id(db, make, sql):
    tea = make.product(stock=1)
    make.cart("t")
    cart = {"session_id": "t", "product_id": tea, "quantity": 1}

    id = db.transaction(lambda session: session.add("categories/add", name="Tea", description=None))
    counts = [db.transaction(lambda session: session.run("cart/add", **cart)) for _ in range(2)]

    assert counts == [1, 0]  # the second is refused: there is one in stock
    assert sql("SELECT id FROM categories") == [{"id": id}]


def test_several_statements_in_one_text_are_for_scripts_alone(login):
    two = "SELECT 1 AS n; SELECT 2 AS n"
    with connect(login, 2, scripts=True) as connection, connection.cursor() as cursor:
        cursor.execute(two)
        first = list(cursor.fetchall())
        assert cursor.nextset()
        second = list(cursor.fetchall())
        assert not cursor.nextset()

    with refused() as codes:
        execute(login, two)

    assert (first, second, codes) == ([{"n": 1}], [{"n": 2}], [1064])


def test_the_server_cannot_ask_for_files_of_this_machine(login):
    with refused() as codes:
        execute(login, "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE categories (name)")

    assert set(codes) <= {1148, 2068, 3948, 4166}


# Errors


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT FROM", 1064),
        ("SELECT 1 FROM nowhere", 1146),
        ("INSERT INTO categories (name) VALUES ('a'), ('A')", 1062),
        ("INSERT INTO cart_items (session_id, product_id, quantity) VALUES ('s', 0, 1)", 1452),
    ],
)
def test_an_error_has_the_servers_number(owner, sql, statement, code):
    with refused() as codes:
        execute(owner, statement)

    assert codes == [code]


@pytest.mark.slow
def test_a_statement_that_takes_too_long_is_ended_by_the_server(login):
    connection = connect(login, 1, statement_timeout=3)
    with contextlib.closing(connection), connection.cursor() as cursor, refused() as codes:
        columns = "information_schema.columns"
        cursor.execute(f"SELECT COUNT(*) FROM {columns} AS a, {columns} AS b, {columns} AS c")

    assert set(codes) <= {1317, 1969, 3024}


def test_a_connection_that_was_killed_is_lost(login):
    connection = connect(login, 2)
    execute(login, "KILL %s", (connection.thread_id(),))

    for _ in range(2):
        with refused() as codes, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert codes[0] in LOST


@pytest.mark.parametrize("wrong", [{"host": "nowhere.invalid"}, {"port": 1}, {"unix_socket": "/nowhere"}])
def test_a_database_that_is_not_there_is_lost(login, wrong):
    with refused() as codes:
        connect(dataclasses.replace(login, **{"unix_socket": None, **wrong}), 2)

    assert codes[0] in LOST


def test_a_login_or_a_schema_that_is_refused_has_the_servers_number(login):
    for wrong, known in (({"password": "wrong"}, {1045, 1698}), ({"database": "nowhere"}, {1044, 1049})):
        with refused() as codes:
            connect(dataclasses.replace(login, **wrong), 2)
        assert codes[0] in known


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_what_answers_and_is_no_database_is_lost(login, said):
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer():
            with other.accept()[0] as client:
                client.sendall(said)

        threading.Thread(target=answer, daemon=True).start()
        with refused() as codes:
            connect(dataclasses.replace(login, unix_socket=None, port=other.getsockname()[1]), 1)

    assert codes[0] in LOST


@contextlib.contextmanager
def between(login, host="127.0.0.1", sent=None):
    """Stand between the driver and the database: give the way in and an Event that stops the answers.

    `sent`: a bytearray that gets what the driver sends.
    """
    frozen = threading.Event()
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(socket.create_server((host, 0)))

        def forward(source, target, may_freeze):
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    if sent is not None and not may_freeze:
                        sent.extend(data)
                    if not (may_freeze and frozen.is_set()):
                        target.sendall(data)

        def accept():
            with contextlib.suppress(OSError):
                client = stack.enter_context(door.accept()[0])
                server = stack.enter_context(socket.socket(socket.AF_UNIX if login.unix_socket else socket.AF_INET))
                server.connect(login.unix_socket or (login.host, login.port))
                threading.Thread(target=forward, args=(client, server, False), daemon=True).start()
                threading.Thread(target=forward, args=(server, client, True), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield dataclasses.replace(login, unix_socket=None, host=host, port=door.getsockname()[1]), frozen


@pytest.mark.slow
def test_a_database_that_falls_silent_is_lost_and_not_waited_for(login, lag):
    with between(login) as (way, frozen):
        connection = connect(way, 1)
        frozen.set()
        started = time.monotonic()
        with refused() as codes, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        spent = time.monotonic() - started
        connection.close()

    assert codes[0] in LOST
    assert spent < lag.bound(5, started)  # the time-out is 1 s


@pytest.mark.slow
def test_a_login_that_is_not_answered_is_not_waited_for_as_long_as_a_long_statement(login, lag):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with refused() as codes:
            connect(dataclasses.replace(login, unix_socket=None, port=silent.getsockname()[1]), 1, statement_timeout=60)
        spent = time.monotonic() - started

    assert codes[0] in LOST
    assert spent < lag.bound(5, started)


# Which one


def test_a_driver_that_is_not_installed_is_named_with_the_command_to_type(accounts, monkeypatch):
    monkeypatch.setattr(drivers, "MySQLdb", None)
    monkeypatch.setattr(drivers, "MISSING", "No module named 'MySQLdb'", raising=False)

    with pytest.raises(CommandError, match=r"-m pip install mysqlclient\n[\s\S]* libmariadb-dev") as stopped:
        connect(dataclasses.replace(accounts.application, driver="mysqldb"), 2)

    assert "No module named 'MySQLdb'" in str(stopped.value)


def test_a_pymysql_that_was_not_tested_is_refused_and_mysqlclient_is_not(login, monkeypatch):
    monkeypatch.setattr(pymysql, "VERSION_STRING", "9.0.0")

    if login.driver == "mysqldb":
        connect(login, 2).close()
    else:
        with pytest.raises(CommandError, match=r"PyMySQL 9\.0\.0 is installed, and .* pip install pymysql==1\.2\.4"):
            connect(login, 2)


def test_the_pymysql_that_is_installed_is_the_one_that_was_tested():
    for file, line in (("requirements.txt", "pymysql=={} \\"), ("pyproject.toml", '"PyMySQL[rsa]=={}"')):
        assert line.format(TESTED_WITH) in (ROOT / file).read_text()


@pytest.mark.slow
def test_a_command_with_another_pymysql_ends_with_that_sentence(program_copy):
    page = program_copy / "core" / "db" / "pymysql_rows.py"
    page.write_text(page.read_text().replace(f'TESTED_WITH = "{TESTED_WITH}"', 'TESTED_WITH = "0.0.1"'))

    for words in (["migrate", "status"], ["--port", str(free_port())]):
        url, mail = f"mysql://shop@127.0.0.1:{free_port()}/shop", "smtp://127.0.0.1?tls=off"
        done = command(*words, home=program_copy, DATABASE_URL=url, SMTP_URL=mail, MAIL_FROM="shop@example.com")

        assert done.returncode == 1
        assert done.stderr.startswith(f"PyMySQL {TESTED_WITH} is installed, and this version of the shop works with")
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_command_without_the_driver_it_is_asked_for_ends_with_that_sentence(tmp_path):
    """Also where the package is there and its C library is not."""
    (tmp_path / "MySQLdb").mkdir()
    (tmp_path / "MySQLdb" / "__init__.py").write_text("raise ImportError('libmariadb.so.3: cannot open')\n")
    asked, spared = (f"{scheme}://shop@127.0.0.1:{free_port()}/shop" for scheme in ("mysql+mysqldb", "mysql"))

    done = command("migrate", "status", DATABASE_URL=asked, PYTHONPATH=str(tmp_path))
    without = command("migrate", "status", DATABASE_URL=spared, PYTHONPATH=str(tmp_path))

    assert done.returncode == without.returncode == 1
    assert "mysqlclient cannot be imported (libmariadb.so.3: cannot open). Type this" in done.stderr
    assert "cannot be reached" in without.stderr


def test_the_scheme_of_the_url_chooses_the_driver(login):
    url = database_url.parse(as_url(login))

    with connect(url, 2) as connection:
        module = type(connection).__module__

    assert url == login
    assert module == {"pymysql": "core.db.pymysql_rows", "mysqldb": "MySQLdb.connections"}[login.driver]


@pytest.mark.slow
def test_the_shop_serves_by_either_driver(start, login, make, sql):
    tea = make.product(stock=2)
    shop = start("--workers", "2", "--threads", "2", DATABASE_URL=as_url(login))
    line = {"product_id": tea, "quantity": 2}

    added = shop.request("/api/cart/items", "POST", line, Session_ID="both-drivers")
    refused = shop.request("/api/cart/items", "POST", line, Session_ID="both-drivers")
    listed = shop.request("/api/products")

    assert (added.status, refused.status, listed.status) == (201, 409, 200)
    assert listed.json["data"]["items"][0]["id"] == tea
