"""What is counted and logged of the statements that a Database runs, on the real server, by each driver."""

import dataclasses
import re
import threading

import bottle
import pytest
from helpers import at_once
from test_statement_times import Counting

from core.cache import Cache
from core.db.database import Database, DatabaseError
from core.db.measuring import Meter
from core.db.statements import Statements
from core.errors import ApiError
from core.logs import CHORE, SERVING, Logfmt
from core.setup.system import ROOT
from core.trace import ENVIRON_TRACE, taken

FILES = {  # name → (returns, columns, statement)
    "own/text": (
        "one",
        "info LONGTEXT NULL",
        "SELECT info FROM information_schema.processlist WHERE id = CONNECTION_ID()",
    ),
    "own/short": ("one", "slept INT", "SELECT SLEEP(0.05) AS slept"),
    "own/long": ("many", "slept INT", "SELECT SLEEP(0.3) AS slept UNION ALL SELECT 7"),
    "own/failing": ("one", "id INT", "SELECT (SELECT 1 UNION ALL SELECT 2) AS id"),
}


@pytest.fixture
def times(tmp_path):
    """The counters."""
    made = Counting(tmp_path / "run", 4)
    yield made
    made.close()


@pytest.fixture
def db(login, times, sql):
    """A Database whose statements are counted; those from 0.2 seconds on are logged."""
    return Database(login, Statements(ROOT / "sql"), 2.0, meter=Meter(0.2))


@pytest.fixture
def own(login, times, tmp_path):
    """The same, of the statements of FILES."""
    for name, (returns, columns, text) in FILES.items():
        path = tmp_path / "sql" / f"{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"-- A test's.\n-- used by: nobody\n-- returns: {returns}\n-- columns: {columns}\n{text}\n")
    statements = Statements(tmp_path / "sql")
    assert statements.problems == []
    return Database(login, statements, 2.0, meter=Meter(0.2))


@pytest.fixture
def asked():
    """`asked(request_id, **environ)`: this thread serves a request from now on, until the test ends."""
    yield lambda id, **environ: SERVING.set({"bodega.request_id": id, **environ})
    SERVING.set(None)


@pytest.fixture
def doing():
    """`doing(chore)`: this thread does a chore from now on, until the test ends."""
    token = CHORE.set(None)
    yield CHORE.set
    CHORE.reset(token)


def counted(times):
    """Return {name: (calls, rows, errors)} of what ran."""
    return {t.name: (t.calls, t.rows, t.errors) for t in times.totals().statements if t.calls}


def lines(caplog):
    """Return the lines that the log would have of this test's records."""
    return [Logfmt().format(record) for record in caplog.records]


# Counting


def test_reading_counts_its_rows_and_no_commit(db, times, make):
    make.category("Tea")
    make.category("Cups")

    db.transaction(lambda session: session.many("categories/list"))
    db.transaction(lambda session: session.one("users/get", id=999_999))

    assert counted(times) == {"categories/list": (1, 2, 0), "users/get": (1, 0, 0)}


def test_changing_counts_the_changed_rows_and_the_commit(db, times, make):
    tea = make.product(stock=5)

    db.transaction(lambda session: session.run("products/change_stock", id=tea, change=1, largest=99))
    db.transaction(lambda session: session.run("products/change_stock", id=999_999, change=1, largest=99))

    assert counted(times) == {"products/change_stock": (2, 1, 0), "COMMIT": (2, 0, 0)}


def test_what_is_rolled_back_has_run_and_has_no_commit(db, times, make):
    tea = make.product()

    def refuse(session):
        session.run("products/change_stock", id=tea, change=1, largest=99)
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        db.transaction(refuse)

    assert counted(times) == {"products/change_stock": (1, 1, 0)}


def test_what_is_answered_from_memory_is_no_call(login, times, make):
    cache = Cache(0, 60, 100_000)
    db = Database(login, Statements(ROOT / "sql"), 2.0, cache, meter=Meter(0.2))
    make.product(category_id=make.category())

    for _ in range(5):
        db.transaction(lambda session: session.many("categories/list"))

    assert counted(times) == {"categories/list": (1, 1, 0)}


def test_of_statements_that_are_sent_together_each_has_its_own_time(own, times, lag):
    own.transaction(lambda session: session.together("own/short", "own/long", "own/text"))

    took, late = {t.name: t.seconds for t in times.totals().statements if t.calls}, lag.bound(0.04)
    assert counted(times) == {"own/short": (1, 1, 0), "own/long": (1, 2, 0), "own/text": (1, 1, 0)}
    assert took["own/short"] == pytest.approx(0.05, abs=late)
    assert took["own/long"] == pytest.approx(0.3, abs=late)
    assert took["own/text"] < late


def test_of_statements_that_are_sent_together_the_failing_one_has_the_error_and_those_behind_it_did_not_run(own, times):
    with pytest.raises(DatabaseError, match="more than 1 row"):
        own.transaction(lambda session: session.together("own/short", "own/failing", "own/long"))

    assert counted(times) == {"own/short": (1, 1, 0), "own/failing": (1, 0, 1)}


def test_a_transaction_that_runs_again_has_called_its_statements_again(db, times, make):
    """Two lock two products in opposite orders: one of them is a deadlock's victim, and runs again."""
    tea, cup = make.product(), make.product()
    gate = threading.Barrier(2)

    def change(first, second):
        def work(session):
            session.run("products/change_stock", id=first, change=1, largest=99)
            if not session.again:
                gate.wait()
            session.run("products/change_stock", id=second, change=1, largest=99)

        return lambda: db.transaction(work)

    at_once([change(tea, cup), change(cup, tea)])

    calls, _, errors = counted(times)["products/change_stock"]
    assert (calls, errors) == (6, 1)  # the victim: its first, its second, which failed, and both again
    assert counted(times)["COMMIT"] == (2, 0, 0)


def test_threads_that_run_statements_lose_no_call(db, times, make):
    make.category()

    def read():
        for _ in range(50):
            db.transaction(lambda session: session.many("categories/list"))

    at_once([read] * 6)

    assert counted(times) == {"categories/list": (300, 300, 0)}


def test_a_database_that_is_out_of_reach_is_no_call(login, times):
    nowhere = dataclasses.replace(login, unix_socket=None, host="127.0.0.1", port=1)
    db = Database(nowhere, Statements(ROOT / "sql"), 0.5, meter=Meter(0.2), report=lambda *_: None)

    with pytest.raises(ApiError):
        db.transaction(lambda session: session.many("categories/list"))

    assert counted(times) == {}


# The comment in front of a statement


def test_a_statement_says_its_file_and_its_request(own, asked):
    asked("Ab-9._")

    text = own.transaction(lambda session: session.one("own/text"))["info"]

    assert text.startswith("/* own/text request=Ab-9._ */ SELECT info FROM")


def test_each_of_statements_that_are_sent_together_says_so(own, asked):
    asked("one-request")

    (_, text) = own.transaction(lambda session: session.together("own/short", "own/text"))

    assert "/* own/text request=one-request */ SELECT" in text["info"]


def test_a_statement_of_a_chore_says_which(own, doing):
    doing("delivery")

    text = own.transaction(lambda session: session.one("own/text"))["info"]

    assert text.startswith("/* own/text chore=delivery */ SELECT")


def test_a_statement_of_nobody_says_its_file(own):
    text = own.transaction(lambda session: session.one("own/text"))["info"]

    assert text.startswith("/* own/text */ SELECT")


@pytest.mark.parametrize(
    "id",
    [
        "*/ DROP TABLE users; /*",
        "a*/b",
        "a/b",
        "a b",
        "%s",
        "%(limit)s",
        "a\n",
        "ä",
        "'",
        '"',
        "\\",
        "\0",
        "a" * 129,
        "",
    ],
)
def test_nothing_but_a_plain_id_of_128_characters_gets_into_the_comment(own, asked, id):
    """A second wall: the middleware gives such a request another id."""
    asked(id)

    text = own.transaction(lambda session: session.one("own/text"))["info"]

    assert text.startswith("/* own/text */ SELECT")


def test_an_id_of_128_characters_gets_into_the_comment_whole(own, asked):
    asked("a" * 128)

    text = own.transaction(lambda session: session.one("own/text"))["info"]

    assert text.startswith(f"/* own/text request={'a' * 128} */ SELECT")


# Slow statements


def test_a_statement_carries_the_trace_of_its_request(own, asked):
    trace = taken("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    asked("one-request", **{ENVIRON_TRACE: trace})

    said = own.transaction(lambda session: session.one("own/text"))["info"]

    assert f"/* own/text request=one-request traceparent=00-{trace.trace_id}-{trace.span_id}-01 */" in said


def test_a_slow_statement_is_one_line_with_file_request_route_time_and_rows(own, asked, caplog):
    app = bottle.Bottle()
    route = bottle.Route(app, "/api/things/<id>", "GET", lambda: None)
    asked("one-request", **{"bottle.route": route})

    own.transaction(lambda session: session.together("own/short", "own/long"))

    (line,) = lines(caplog)
    said = (
        r" level=warning event=slow_sql method=GET file=sql/own/long\.sql ms=(\d+\.\d) rows=2 route=/api/things/<id> "
    )
    assert 250 < float(re.search(said + "request_id=one-request\\Z", line)[1]) < 400


def test_a_slow_statement_of_a_chore_says_which(own, doing, caplog):
    doing("expiry")

    own.transaction(lambda session: session.many("own/long"))

    (line,) = lines(caplog)
    assert line.endswith(" rows=2 chore=expiry")


def test_a_statement_that_was_cut_off_is_a_slow_one_with_the_number_of_its_error(login, times, tmp_path, caplog):
    """A sleep is no statement that a server would cut off with an error on both: what reads for long is."""
    path = tmp_path / "sql" / "own" / "long.sql"
    path.parent.mkdir(parents=True)
    columns = "information_schema.columns"
    long = f"SELECT COUNT(*) AS n FROM {columns} AS a, {columns} AS b, {columns} AS c"
    path.write_text(f"-- A test's.\n-- used by: nobody\n-- returns: one\n-- columns: n BIGINT\n{long}\n")
    db = Database(login, Statements(tmp_path / "sql"), 0.5, meter=Meter(0.2), report=lambda *_: None)

    with pytest.raises(ApiError):
        db.transaction(lambda session: session.one("own/long"))

    assert all(" event=slow_sql " in line and " error=" in line for line in lines(caplog))
    assert lines(caplog)
    assert counted(times)["own/long"][2] >= 1


def test_0_logs_none(login, times, own, caplog):
    db = Database(login, own.statements, 2.0, meter=Meter(0))

    db.transaction(lambda session: session.many("own/long"))

    assert lines(caplog) == []
    assert counted(times) == {"own/long": (1, 2, 0)}
