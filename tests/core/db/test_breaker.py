"""The circuit breaker: when it opens, what it spares requests, and what closes it; by both drivers."""

import contextlib
import dataclasses
import functools
import math
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import at_once, connections_of, eventually, execute

from core import metrics, metrics_file
from core.db import breaker, drivers
from core.db.breaker import Breaker
from core.db.database import Database, DatabaseError
from core.db.statements import Statements
from core.errors import ServiceUnavailable
from core.metrics_file import File
from core.setup.system import ROOT

TIMEOUT = 1.0  # seconds: mysqlclient counts in whole ones
TOO_MANY = b"\x17\x00\x00\x00\xff\x10\x04Too many connections"  # what a server says in place of its greeting
UNBOUNDED = "/*M! SET STATEMENT max_statement_time=0 FOR */ DO SLEEP(1.5)"  # MySQL bounds SELECT alone


class Door:
    """A way to the database that can fall silent, for good for who is in it, or be shut.

    `delay`: seconds that each answer takes. `most`: how many visitors it has had at once while it was silent.
    """

    def __init__(self, login, port=0):
        self._login = login
        self._listening = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self._listening.getsockname()[1]
        self.login = dataclasses.replace(login, unix_socket=None, host="127.0.0.1", port=self.port)
        self.silent = False
        self._clients = []
        self.delay = 0.0
        self.visits = self.inside = self.most = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self._listening.accept()[0]
                self._clients.append(client)
                self.visits += 1
                server = socket.socket(socket.AF_UNIX if self._login.unix_socket else socket.AF_INET)
                server.connect(self._login.unix_socket or (self._login.host, self._login.port))
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(source, target, client), daemon=True).start()

    def _carry(self, source, target, client):
        swallows = self.silent
        asked = source is client
        self.inside += asked
        if self.silent:
            self.most = max(self.most, self.inside)
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                swallows = swallows or self.silent
                if not asked:
                    time.sleep(self.delay)
                if not swallows:
                    target.sendall(data)
        self.inside -= asked
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def drop(self):
        """Cut the connections there are."""
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def shut(self):
        """Refuse connections from now on."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def door(login):
    """A Door."""
    found = Door(login)
    yield found
    found.silent = False
    found.shut()


@pytest.fixture
def db(door):
    """A Database behind the door."""
    return Database(door.login, Statements(ROOT / "sql"), TIMEOUT)


def ask(session):
    """Be work that needs the database."""
    return session.many("categories/list")


def refused(db, work=ask):
    """Return the seconds until a request is refused."""
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable) as raised:
        db.transaction(work)
    assert raised.value.headers["Retry-After"] == "1"
    return time.monotonic() - began


def served(db):
    """Return whether a request is served."""
    try:
        db.transaction(ask)
    except ServiceUnavailable:
        return False
    return True


def run(statement):
    """Return work that runs a statement."""
    return lambda session: session._cursor.execute(statement)


def test_who_needs_a_silent_database_waits_once_and_is_then_refused_at_once(db, door, sql, lag):
    db.transaction(ask)
    door.silent = True

    first = refused(db)
    then = [refused(db) for _ in range(20)]

    assert db.breaker.is_open
    assert 0.9 * TIMEOUT < first < lag.bound(TIMEOUT + 0.5 + 1)
    assert sorted(then)[10] < lag.bound(0.01)


@pytest.mark.slow
def test_all_threads_whose_statements_fail_at_once_wait_for_one_probe(db, door, sql, monkeypatch, lag):
    probes, probe = [], Breaker._probe
    monkeypatch.setattr(Breaker, "_probe", lambda *args: probes.append(args[1]) or probe(*args))
    barrier = threading.Barrier(6)

    def work(session):
        ask(session)
        if not barrier.wait(10):
            door.silent = True
        barrier.wait(10)
        ask(session)

    spent = at_once([lambda: refused(db, work)] * 6)

    assert probes.count(breaker.QUICK) == 1
    assert max(spent) < lag.bound(TIMEOUT + 2)


@pytest.mark.slow
def test_it_closes_within_a_second_of_the_first_answer_and_old_connections_are_not_used(db, door, sql, lag):
    """Those are silent for good, as behind a firewall that has forgotten them."""
    at_once([lambda: db.transaction(ask)] * 4)
    db.transaction(ask)
    door.silent = True
    refused(db)
    time.sleep(1.5)

    door.silent = False
    back = time.monotonic()
    assert eventually(lambda: served(db))
    spent = time.monotonic() - back

    assert not db.breaker.is_open
    assert spent < lag.bound(breaker.GREETING + breaker.PAUSE + 1, back)


def test_after_an_outage_each_thread_closes_its_old_connection_without_the_garbage_collector(
    db, door, login, sql, monkeypatch
):
    """In an error of PyMySQL's is a circle of references, in which all connections of before the outage stayed open."""
    made, connect = [], drivers.connect  # it has them all, so that none is closed as nobody has it any more
    monkeypatch.setattr(db._pool, "_creator", lambda: made.append(connect(db.url, TIMEOUT, scripts=True)) or made[-1])
    everywhere = [ThreadPoolExecutor(1) for _ in range(4)]
    with contextlib.ExitStack() as stack:
        [stack.enter_context(thread) for thread in everywhere]
        assert all(thread.submit(served, db).result() for thread in everywhere)
        door.shut()
        door.drop()
        everywhere[0].submit(refused, db).result()
        assert db.breaker.is_open
        again = Door(login, door.port)
        assert eventually(lambda: not db.breaker.is_open)

        assert all(thread.submit(served, db).result() for thread in everywhere)

        assert [bool(connection.open) for connection in made] == [False] * 4 + [True] * 4
        again.shut()


def test_where_nobody_listens_it_opens_at_once_and_closes_when_somebody_does(db, door, login, sql, lag):
    db.transaction(ask)
    door.shut()
    other = Database(door.login, Statements(ROOT / "sql"), TIMEOUT)

    first = refused(other)
    assert other.breaker.is_open and first < lag.bound(0.5)
    with socket.create_server(("127.0.0.1", door.port)) as again:
        threading.Thread(target=lambda: again.accept()[0].sendall(TOO_MANY), daemon=True).start()

        assert eventually(lambda: not other.breaker.is_open)


def test_one_slow_statement_opens_nothing(db, door, sql):
    spent = refused(db, run(UNBOUNDED))

    assert spent > 0.9 * TIMEOUT  # its answer was not waited for
    assert not db.breaker.is_open
    assert db.transaction(ask) == []


def test_a_connection_that_is_killed_opens_nothing(db, door, sql, login):
    def work(session):
        execute(login, "KILL %s", (session._cursor.connection.thread_id(),))
        ask(session)

    refused(db, work)  # also the second time

    assert not db.breaker.is_open and served(db)


def test_what_the_server_refuses_opens_nothing_so_connections_that_are_there_go_on(db, door, sql):
    """After a change of the password, or with too many connections, they work as before."""
    db.transaction(ask)
    opener = functools.partial(drivers.connect, dataclasses.replace(db.url, password="the former one"), TIMEOUT)
    opener.dbapi = drivers
    db._pool._creator = opener

    def new():
        with ThreadPoolExecutor(1) as pool:  # in a new thread, which has no connection
            return pool.submit(refused, db).result()

    assert max(new() for _ in range(3)) < 1
    assert not db.breaker.is_open and served(db)


def test_a_server_that_says_why_not_is_in_reach(login):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        crowded = Breaker(
            dataclasses.replace(login, unix_socket=None, host="127.0.0.1", port=port), 1.0, pytest.fail, print
        )

        def refuse():
            with server.accept()[0] as visitor:
                visitor.sendall(TOO_MANY)

        threading.Thread(target=refuse, daemon=True).start()

        assert not crowded.trip(DatabaseError[0](2013, "lost"))


def test_a_commit_that_is_not_answered_opens_it_too(db, door, make):
    tea = make.product()
    make.cart("t")
    kind = connections_of(db.url)
    commit = kind.commit

    def fall_silent(connection):
        door.silent = True
        commit(connection)

    def work(session):
        session.run("cart/add", session_id="t", product_id=tea, quantity=1)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kind, "commit", fall_silent)
        refused(db, work)

    assert db.breaker.is_open


@pytest.mark.slow
def test_one_probe_at_a_time_looks_whether_it_is_back(db, door, sql):
    door.silent = True
    refused(db)
    assert eventually(lambda: door.inside == 0 or door.visits > 2)
    before, door.most = door.visits, 0
    time.sleep(3)

    assert door.most <= 2  # one, and the thread of the door that has not noticed yet that its visitor has gone
    assert 2 <= door.visits - before <= 3 / breaker.GREETING + 1


@pytest.mark.slow
def test_a_database_that_is_slow_after_a_long_outage_is_found(db, door, sql, monkeypatch):
    monkeypatch.setattr(breaker, "GREETING", 0.2)
    door.silent = True
    refused(db)
    door.silent, door.delay = False, 0.4
    time.sleep(1)
    assert db.breaker.is_open  # no probe waits so long

    db.breaker._since -= 10

    assert eventually(lambda: not db.breaker.is_open)


def test_who_would_try_again_does_not_once_it_is_open(db, door, sql):
    runs = []

    def work(session):
        runs.append(1)
        db.breaker.is_open = True  # another thread has found out
        raise DatabaseError[0](1213, "Deadlock found")

    refused(db, work)

    assert runs == [1]


def test_the_log_has_a_line_when_it_opens_and_one_when_it_closes(db, door, sql, caplog):
    door.silent = True
    for _ in range(5):
        refused(db)
    door.silent = False
    assert eventually(lambda: not db.breaker.is_open)

    lines = [record.getMessage() for record in caplog.records if record.name == "bodega.database"]
    assert len(lines) == 2
    assert "is out of reach, and is left alone until it answers" in lines[0]
    assert "answers again, after" in lines[1]


def test_it_is_counted(db, door, sql, tmp_path):
    counters = File(tmp_path / "run", 2)
    metrics.use(counters)
    try:
        door.silent = True
        refused(db)
        opened = told(counters)
        door.silent = False
        assert eventually(lambda: not db.breaker.is_open)
        closed = told(counters)
    finally:
        metrics.use(None)
        counters.close()

    assert opened == {"bodega_breaker_opened_total": 1, "bodega_breaker_open": 1 + 1}  # a gauge says one more
    assert closed == {"bodega_breaker_opened_total": 1, "bodega_breaker_open": 1 + 0}


def told(counters):
    """Return what is counted of the breaker."""
    found = {record.name: record.words[0] for record in metrics_file.records(counters.words)}
    return {name: number for name, number in found.items() if "breaker" in name}


@pytest.mark.slow
def test_what_breaks_the_probe_does_not_leave_it_open(db, door, sql, monkeypatch):
    def broken(*_):
        raise MemoryError

    door.silent = True
    with monkeypatch.context() as patched:
        patched.setattr(threading, "excepthook", lambda _: None)
        patched.setattr(breaker, "PAUSE", 0)
        refused(db)
        assert db.breaker.is_open
        patched.setattr(breaker, "log_in", broken)

        assert eventually(lambda: not db.breaker.is_open)


def test_an_answer_since_the_failure_spares_a_probe(login, monkeypatch):
    found = Breaker(login, 1.0, pytest.fail, print)
    monkeypatch.setattr(breaker, "log_in", lambda *_: pytest.fail("probed"))
    found._answered = math.inf

    assert not found.trip(DatabaseError[0](2013, "lost"))
