"""Transactions, repeats and outages: what core/db/database.py promises, against the real server."""

import dataclasses
import errno
import itertools
import re
import shutil
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from helpers import as_url, connections_of, eventually, execute, free_port

from core import config, metrics, metrics_file
from core.cache import Cache, Generation
from core.db import database, drivers, session
from core.db.database import Database, DatabaseError
from core.db.statements import Statements
from core.errors import Conflict, ServiceUnavailable
from core.metrics import Counter
from core.metrics_file import File
from core.setup import system
from core.setup.embedded import Embedded
from core.setup.system import ROOT

SOLD = Counter("test_sold_total", "What a test has sold.", "product")


@pytest.fixture
def db(accounts, make):
    """A Database of its own, so that its connection is nobody else's; and the cart "t"."""
    make.cart("t")
    return Database(accounts.application, Statements(ROOT / "sql"), 2.0)


def add(quantity=1, product=None):
    """Return work that adds a product to the cart "t"."""
    return lambda db: db.run("cart/add", session_id="t", product_id=product, quantity=quantity)


def quantities(sql):
    """Return the quantities in all carts."""
    return [row["quantity"] for row in sql("SELECT quantity FROM cart_items ORDER BY id")]


def connection_of(db):
    """Return the driver's connection of this thread."""
    return db._pool.thread.connection.dbapi_connection


def test_returning_commits_and_raising_rolls_back(db, make, sql):
    tea = make.product()

    def fail(session):
        add(2, tea)(session)
        raise ValueError("after the write")

    db.transaction(add(1, tea))
    with pytest.raises(ValueError, match="after the write"):
        db.transaction(fail)

    assert quantities(sql) == [1]


def test_a_transaction_that_is_lost_half_way_runs_again_as_a_whole(db, make, sql):
    """DBUtils would run the second statement on a new connection, and the first half would be lost in silence."""
    tea, cup = make.product(), make.product()
    runs = []

    def lose_the_connection(session):
        runs.append(1)
        add(1, tea)(session)
        if len(runs) == 1:
            execute(db.url, "KILL %s", (connection_of(db).thread_id(),))
        add(1, cup)(session)

    db.transaction(lose_the_connection)

    assert len(runs) == 2  # all of it again, not its second half
    assert quantities(sql) == [1, 1]


def test_a_connection_that_died_while_idle_is_replaced_unseen(db, make, sql):
    tea = make.product()
    db.transaction(add(1, tea))
    execute(db.url, "KILL %s", (connection_of(db).thread_id(),))

    db.transaction(add(1, tea))

    assert quantities(sql) == [2]


@pytest.mark.parametrize("timeout", [None, 5])
def test_a_commit_whose_answer_is_lost_is_not_repeated(db, make, sql, monkeypatch, timeout):
    tea = make.product()
    runs = []
    commit = connections_of(db.url).commit

    def lose_the_answer(connection):
        commit(connection)  # the server has it
        connection.close()
        raise DatabaseError[0](2013, "Lost connection to MySQL server during query")

    monkeypatch.setattr(connections_of(db.url), "commit", lose_the_answer)
    with pytest.raises(ServiceUnavailable) as raised:
        db.transaction(lambda session: (runs.append(1), add(1, tea)(session)), timeout)
    monkeypatch.undo()

    assert runs == [1]
    assert "did not confirm" in raised.value.message
    assert quantities(sql) == [1]


@pytest.mark.parametrize("failures", [1, 100])
@pytest.mark.parametrize("timeout", [None, 5])
def test_a_change_that_is_stored_stays_an_answer_though_voiding_the_cache_fails(
    accounts, make, sql, monkeypatch, caplog, failures, timeout
):
    make.cart("t")
    cache = Cache(60, 60, 100_000)
    cache.tables = {"cart_items"}
    db = Database(accounts.application, Statements(ROOT / "sql"), 2.0, cache)
    tea, before = make.product(), cache.generation.number
    fails, advance = itertools.count(1), Generation.advance

    def advance_at_last(generation):
        if next(fails) <= failures:
            raise OSError(errno.EDEADLK, "Resource deadlock avoided")
        advance(generation)

    monkeypatch.setattr(Generation, "advance", advance_at_last)
    answer = db.transaction(add(1, tea), timeout)

    assert answer == 1 and quantities(sql) == [1]
    assert "could not be voided" in caplog.text and "Resource deadlock avoided" in caplog.text
    assert (cache.generation.number != before) is (failures == 1)  # tried again


def test_what_may_take_long_has_a_connection_of_its_own_and_leaves_none(db, make, sql):
    tea = make.product()
    seen = []

    def work(session):
        seen.append(session._cursor.connection.thread_id())
        add(1, tea)(session)
        if len(seen) == 3:
            raise ValueError("after the write")

    db.transaction(work)
    db.transaction(work, statement_timeout=5)
    with pytest.raises(ValueError, match="after the write"):
        db.transaction(work, statement_timeout=5)

    def alive():
        return {row["id"] for row in sql("SELECT id AS id FROM information_schema.processlist")} & set(seen)

    assert len(set(seen)) == 3
    assert eventually(lambda: alive() == {seen[0]})
    assert quantities(sql) == [2]


@pytest.mark.slow
def test_what_may_take_long_is_repeated_a_few_times_and_no_more(db, make, sql):
    tea = make.product()
    db.transaction(add(1, tea))
    runs = []

    with (
        held(db.url, "UPDATE cart_items SET quantity = 9 WHERE product_id = %s", [tea]),
        pytest.raises(ServiceUnavailable),
    ):
        db.transaction(
            lambda session: (runs.append(1), add(1, tea)(session)), statement_timeout=2
        )  # waits 1 s for a lock

    assert len(runs) == database.LONG_TRIES == 3
    assert quantities(sql) == [1]


def test_what_may_take_long_is_not_repeated_where_its_connection_is_lost(db, make, sql):
    tea = make.product()
    runs = []

    def lose_the_connection(session):
        runs.append(1)
        add(1, tea)(session)
        execute(db.url, "KILL %s", (session._cursor.connection.thread_id(),))
        add(1, tea)(session)

    with pytest.raises(ServiceUnavailable):
        db.transaction(lose_the_connection, statement_timeout=5)

    assert runs == [1]
    assert quantities(sql) == []


def sold(counters):
    """Return what SOLD has counted."""
    return [record.words for record in metrics_file.records(counters.words) if record.name == SOLD.name]


def test_what_a_transaction_counts_is_counted_once_it_is_committed_and_once_however_often_it_runs(db, make, tmp_path):
    tea, tries = make.product(), []
    counters = File(None, 1)
    metrics.use(counters)

    def work(session, fails):
        session.count(SOLD, "tea", amount=2)
        add(1, tea)(session)
        tries.append(fails)
        if fails == "for good":
            raise ValueError("after the write")
        if fails == "once" and tries.count("once") == 1:
            raise drivers.DatabaseError[0](1213, "a deadlock")

    with pytest.raises(ValueError, match="after the write"):
        db.transaction(lambda session: work(session, "for good"))
    assert sold(counters) == []
    db.transaction(lambda session: work(session, "once"))
    metrics.use(None)

    assert tries == ["for good", "once", "once"]
    assert sold(counters) == [[2]]


def test_a_deadlock_is_repeated_until_both_have_done_their_work(db, make, sql):
    first, second = make.product(), make.product()
    make.cart("t", first, second)
    both_hold_one = threading.Barrier(2, timeout=10)
    runs = []

    def work(one, other):
        def body(session):
            runs.append(one)
            add(1, one)(session)
            if runs.count(one) == 1 and len(runs) <= 2:
                both_hold_one.wait()
            add(1, other)(session)

        return lambda: db.transaction(body)

    threads = [threading.Thread(target=work(first, second)), threading.Thread(target=work(second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(runs) > 2  # one of them was the victim, and ran again
    assert quantities(sql) == [3, 3]


@contextmanager
def held(url, statement, args):
    """Hold the locks of a statement on a connection of its own."""
    with drivers.connect(url, 10) as connection, connection.cursor() as cursor:
        connection.begin()
        cursor.execute(statement, args)
        try:
            yield
        finally:
            connection.rollback()


@pytest.mark.slow
def test_a_row_that_stays_locked_is_a_503_and_not_a_hanging_request(db, make, sql, lag):
    tea = make.product()
    db.transaction(add(1, tea))

    with held(db.url, "UPDATE cart_items SET quantity = 9 WHERE product_id = %s", [tea]):
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable) as raised:
            db.transaction(add(1, tea))
        spent = time.monotonic() - started

    assert raised.value.headers["Retry-After"] == "1"
    assert spent < lag.bound(6, started)
    assert quantities(sql) == [1]


@pytest.mark.slow
def test_a_row_that_is_locked_for_a_moment_is_waited_for(db, make, sql):
    tea = make.product()
    db.transaction(add(1, tea))

    with held(db.url, "UPDATE cart_items SET quantity = 9 WHERE product_id = %s", [tea]):
        other = threading.Thread(target=lambda: db.transaction(add(1, tea)))
        other.start()
        other.join(1.3)  # longer than one lock wait
        assert other.is_alive()
    other.join(10)

    assert quantities(sql) == [2]


def test_constraints_are_conflicts(db, make, sql):
    tea = make.product(category_id=make.category())
    db.transaction(add(1, tea))

    with pytest.raises(Conflict):
        db.transaction(lambda session: session._cursor.execute("UPDATE cart_items SET quantity = 0"))
    with pytest.raises(Conflict):
        db.transaction(lambda session: session._cursor.execute("DELETE FROM categories"))


def test_a_constraint_means_what_the_caller_says(db, sql):
    class NameTaken(Conflict):
        """What the shop says of this constraint."""

    sql("INSERT INTO categories (name) VALUES ('Tea')")

    def clash(session):
        session.add("categories/add", name="Tea", description="'uq_other' is what a client sent")

    with pytest.raises(NameTaken):
        db.transaction(clash, clashes={"uq_other": ServiceUnavailable, "uq_categories_name": NameTaken})
    with pytest.raises(Conflict) as raised:
        db.transaction(clash)

    assert type(raised.value) is Conflict


def test_whoever_is_overtaken_looks_again_once_and_only_where_clashes_are_declared(db, sql):
    sql("INSERT INTO categories (name) VALUES ('Tea')")
    runs = []

    def clash(session):
        runs.append(session.again)
        session.add("categories/add", name="Tea", description=None)

    with pytest.raises(ServiceUnavailable):
        db.transaction(clash, clashes={"uq_categories_name": ServiceUnavailable})
    with pytest.raises(Conflict):
        db.transaction(clash)

    assert runs == [False, True, False]


def test_a_statement_that_the_account_may_not_run_leaves_the_others_alone(db, sql, accounts, caplog):
    if accounts.application == accounts.owner:
        pytest.skip("TEST_DATABASE_URL is an account that may do all")

    with pytest.raises(ServiceUnavailable):
        db.transaction(lambda session: session._cursor.execute("DELETE FROM schema_migrations"))

    assert db.transaction(lambda session: session.one("products/get", id=1)) is None
    assert "lacks a right" in caplog.text and "schema_migrations" in caplog.text


def test_rows_from_the_cache_may_be_changed_by_their_caller(accounts, make):
    category = make.category("Tea")
    db = Database(accounts.application, Statements(ROOT / "sql"), 2.0, Cache(60, 60, 100_000))

    def read(session):
        cached = session.is_cached("categories/count", id=category)
        one, many = session.one("categories/count", id=category), session.many("categories/list")
        seen = (cached, one["product_count"], [row["name"] for row in many])
        one["product_count"] = many[0]["name"] = "changed"
        many.clear()
        return seen

    seen = [db.transaction(read) for _ in range(3)]

    assert seen == [(False, 0, ["Tea"]), (True, 0, ["Tea"]), (True, 0, ["Tea"])]


def test_a_mistake_in_a_call_is_named(db):
    with pytest.raises(TypeError, match=r"sql/cart/show\.sql returns many for \['session_id'\]"):
        db.transaction(lambda session: session.one("cart/show", session_id="x"))
    with pytest.raises(TypeError, match=r"sql/cart/show\.sql"):
        db.transaction(lambda session: session.many("cart/show"))
    with pytest.raises(KeyError):
        db.transaction(lambda session: session.many("cart/nothing"))


def test_every_statement_carries_its_name_to_the_server(db, sql):
    seen = []

    def spy(session):
        session.many("categories/list")
        sent = session._cursor._executed
        seen.append(sent.decode() if isinstance(sent, bytes) else sent)  # mysqlclient keeps bytes

    db.transaction(spy)

    assert re.match(r"/\* categories/list( request=\w+)? \*/ SELECT", seen[0])


def test_a_session_is_set_up_for_utc_strictness_and_short_waits(db, sql):
    def ask(session):
        session._cursor.execute("SELECT @@time_zone AS tz, @@innodb_lock_wait_timeout AS wait, @@sql_mode AS mode")
        return session._cursor.fetchone()

    settings = db.transaction(ask)

    assert settings["tz"] == "+00:00"
    assert settings["wait"] == 1
    assert "STRICT_TRANS_TABLES" in settings["mode"]


@pytest.mark.slow
def test_a_statement_that_takes_too_long_is_given_up_by_the_server(db, sql):
    columns = "information_schema.columns"
    slow = f"/* too slow */ SELECT COUNT(*) AS n FROM {columns} AS a, {columns} AS b, {columns} AS c"

    with pytest.raises(ServiceUnavailable):
        db.transaction(lambda session: session._cursor.execute(slow))

    left = (
        "SELECT COUNT(*) AS n FROM information_schema.processlist "
        "WHERE info LIKE '/* too slow */%' AND id <> CONNECTION_ID()"
    )
    assert sql(left) == [{"n": 0}]


def test_rows_that_found_rows_would_count_are_not_counted(db, make, sql):
    """CLIENT_FOUND_ROWS must stay off: a refused upsert would read 1."""
    tea = make.product(stock=1)

    assert db.transaction(add(1, tea)) == 1
    assert db.transaction(add(1, tea)) == 0


def test_no_connection_is_made_before_it_is_needed(accounts, monkeypatch):
    """Made before the fork, it would be shared by the workers; and the shop starts while the database is down."""
    monkeypatch.setattr(database, "connect", lambda *_: pytest.fail("connected"))

    Database(accounts.application, Statements(ROOT / "sql"), 2.0)


def test_each_thread_has_a_connection_of_its_own_and_keeps_it(db, sql):
    def connection_id(session):
        return connection_of(db).thread_id()

    mine = [db.transaction(connection_id) for _ in range(2)]
    others = []
    thread = threading.Thread(target=lambda: others.append(db.transaction(connection_id)))
    thread.start()
    thread.join()

    assert mine[0] == mine[1] != others[0]


@pytest.mark.parametrize("timeout", [None, 5])
def test_a_database_where_nobody_listens_is_a_503(accounts, timeout):
    nowhere = config.DatabaseUrl(database="shop", port=free_port())
    db = Database(nowhere, Statements(ROOT / "sql"), 2.0)

    with pytest.raises(ServiceUnavailable) as raised:
        db.transaction(lambda session: None, timeout)

    assert raised.value.message == "The shop's database does not answer. Try again in a moment."


@pytest.mark.slow
def test_a_database_that_is_silent_is_a_503_in_time_for_all_threads_at_once(accounts, lag):
    """It accepts connections and says nothing: connect_timeout does not cover the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        db = Database(config.DatabaseUrl(database="shop", port=silent.getsockname()[1]), Statements(ROOT / "sql"), 2.0)
        spent = []

        def ask():
            started = time.monotonic()
            with pytest.raises(ServiceUnavailable):
                db.transaction(lambda session: None)
            spent.append(time.monotonic() - started)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        ask()

    assert len(spent) == 9
    assert max(spent) < lag.bound(5)  # one time-out of 2 s, and not eight in a row
    assert spent[-1] < lag.bound(1.5)  # who comes next is told without waiting for another


@pytest.mark.slow
@pytest.mark.skipif(not system.program("mariadbd"), reason="needs mariadbd")
def test_service_resumes_by_itself_when_the_database_is_back(start, tmp_path):
    with Embedded(tmp_path / "data", tell=lambda line: None) as logins:
        url = dataclasses.replace(logins.owner)
        shop = start("--workers", "1", DATABASE_URL=as_url(url))
        assert shop.request("/api/ready").json["error"]["details"]["pending"][0] == "0001_categories"
        socket_dir = (tmp_path / "data" / "run").resolve()
    down = shop.request("/api/ready")
    with Embedded(tmp_path / "data", tell=lambda line: None):
        new_dir = (tmp_path / "data" / "run").resolve()
        socket_dir.symlink_to(new_dir)  # the embedded database has a new directory each time, DATABASE_URL does not
        time.sleep(0.6)
        back = shop.request("/api/ready")
        socket_dir.unlink()

    assert (down.status, down.json["error"]["code"], down.headers["Retry-After"]) == (503, "SERVICE_UNAVAILABLE", "1")
    assert down.json["error"]["message"].startswith("The shop's database does not answer.")
    assert back.json["error"]["message"].startswith("The database waits for")


def test_before_the_first_migration_routes_are_503_and_never_500(accounts, client, sql):
    sql("ALTER TABLE categories RENAME TO categories_away")
    try:
        answer = client.get("/api/categories")
    finally:
        sql("ALTER TABLE categories_away RENAME TO categories")

    assert (answer.status_int, answer.json["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert "categories" not in answer.text


def test_a_login_that_is_refused_is_a_503_that_says_nothing_of_it(accounts, sql):
    stranger = dataclasses.replace(accounts.application, user="stranger", password="wrong")
    db = Database(stranger, Statements(ROOT / "sql"), 2.0)

    with pytest.raises(ServiceUnavailable) as raised:
        db.transaction(lambda session: None)

    assert "stranger" not in raised.value.message


def test_the_error_of_a_bug_is_raised_as_it_is(db):
    with pytest.raises(DatabaseError):
        db.transaction(lambda session: session._cursor.execute("SELECT FROM WHERE"))


def test_a_failure_between_begin_and_the_first_statement_leaves_nothing_behind(db, make, sql, monkeypatch):
    """They are sent together. The server stops at the first that fails, whichever it is."""
    tea = make.product()
    monkeypatch.setattr(session, "BEGIN", "BEGIN WITH NO SUCH WORDS; ")  # a server that refuses it
    with pytest.raises(DatabaseError):
        db.transaction(add(1, tea))
    monkeypatch.setattr(session, "BEGIN", "BEGIN; SELECT 1 FROM nowhere; ")  # one that fails behind it
    with pytest.raises(ServiceUnavailable):
        db.transaction(add(1, tea))
    monkeypatch.undo()

    assert quantities(sql) == []
    db.transaction(add(1, tea))
    assert quantities(sql) == [1]  # on the same connection: nothing is left of them


def test_statements_that_are_sent_together_give_what_each_would(db, make):
    tea = make.product(stock=5)
    added = {"session_id": "t", "product_id": tea, "quantity": 2, "user_id": None}

    version, count, rows = db.transaction(lambda s: s.together("cart/lock", "cart/add", "cart/show", **added))
    again = db.transaction(lambda s: s.together("cart/lock", "cart/add", "cart/show", **{**added, "quantity": 9}))

    assert (version, count, [row["quantity"] for row in rows]) == (2, 1, [2])
    assert (again[0], again[1], [row["quantity"] for row in again[2]]) == (3, 0, [2])


@pytest.mark.parametrize("wrong", [("cart/lock", "cart/fails", "cart/add"), ("cart/add", "cart/fails")])
def test_of_statements_that_are_sent_together_a_failing_one_ends_all_and_leaves_nothing(db, make, sql, wrong, tmp_path):
    tea = make.product()
    shutil.copytree(ROOT / "sql", tmp_path / "sql")
    (tmp_path / "sql/cart/fails.sql").write_text(
        "-- Fails.\n-- used by: every route\n-- returns: count\n-- changes: carts\n"
        "UPDATE carts SET version = 1 / 0 WHERE version > 0\n"
    )
    failing = Database(db.url, Statements(tmp_path / "sql"), 2.0)
    params = {"session_id": "t", "product_id": tea, "quantity": 1}
    given = params | ({"user_id": None} if "cart/lock" in wrong else {})

    with pytest.raises(DatabaseError):
        failing.transaction(lambda s: s.together(*wrong, **given))

    assert quantities(sql) == []
    assert sql("SELECT version FROM carts") == [{"version": 1}]
    assert failing.transaction(lambda s: s.together("cart/add", "cart/show", **params))[0] == 1  # same connection


def test_parameters_of_statements_that_are_sent_together_are_all_of_theirs_and_no_others(db, make):
    for params in ({"session_id": "t"}, {"session_id": "t", "user_id": None, "odd": 1}):
        with pytest.raises(TypeError, match="cart/lock, cart/show were called with"):
            db.transaction(lambda s: s.together("cart/lock", "cart/show", **params))  # noqa: B023 - runs at once
