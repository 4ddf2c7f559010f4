"""Several database servers in DATABASE_URL: what a shop does when the one that it writes to is killed, freezes, may no
longer be written to, and is back.

The servers here know nothing of each other, so that one can tell by their rows who was written to.
"""

import contextlib
import dataclasses
import pathlib
import shutil
import tempfile
import threading
import time

import pytest
from helpers import IN_C, eventually, execute
from mortal import Database as Mortal

from core.db import drivers, fitness, primary
from core.db.database import Database
from core.db.host_lock import HostLock
from core.db.migrator import Migrator
from core.db.mysql_errors import refusal
from core.db.owner import give_rights
from core.db.statements import Statements
from core.errors import ServiceUnavailable
from core.setup.system import ROOT

TIMEOUT = 2.0
DRIVERS = pytest.mark.parametrize("driver", ["pymysql", pytest.param("mysqldb", marks=IN_C)])


@pytest.fixture(scope="module")
def trio():
    """Three migrated databases."""
    with contextlib.ExitStack() as stack:
        found: list[Mortal] = []
        for number in range(3):
            folder = pathlib.Path(tempfile.mkdtemp(prefix="bodega-test-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            found.append(one := Mortal(folder, like=found[0] if number else None))
            stack.callback(one.stop)
            if not number:
                one.start()
                Migrator(one.owner, say=lambda line: None).up()
                give_rights(one.owner, "shop@%", Statements(ROOT / "sql", more=[ROOT / "reports"]))
                one.stop()
        for one in found:
            one.start("--innodb-buffer-pool-size=32M")
        yield found


@pytest.fixture
def servers(trio):
    """The three, sound at first and in the end; whom a former test has chosen is forgotten."""
    primary._primaries.clear()
    yield trio
    for one in trio:
        one.revive()
        execute(one.owner, "SET GLOBAL read_only = 0")
        execute(one.owner, "DELETE FROM categories")


@pytest.fixture
def url(servers):
    """`url(*servers, driver=…)`: the shop's DatabaseUrl of these, in this order."""

    def of(*chosen, driver="pymysql"):
        first, *others = chosen or servers
        places = tuple(("127.0.0.1", one.port) for one in others)
        return dataclasses.replace(first.application, driver=driver, others=places)

    return of


@pytest.fixture
def open_database(url):
    """`open_database(*servers, driver=…)`: a Database on these, in this order."""
    return lambda *chosen, driver="pymysql", **options: Database(
        url(*chosen, driver=driver), Statements(ROOT / "sql"), options.pop("timeout", TIMEOUT), **options
    )


def place(db):
    """Return the port of the server that a transaction runs on."""

    def work(session):
        session._cursor.execute("SELECT @@port AS port")
        return session._cursor.fetchone()["port"]

    return db.transaction(work)


def write(db, name):
    """Add a category; return its id."""
    return db.transaction(lambda session: session.add("categories/add", name=name, description=None))


def written(server):
    """Return the names of a server's categories."""
    return {row["name"] for row in execute(server.owner, "SELECT name FROM categories")}


class Writers:
    """Threads that write one category after the other, until the block is left. `failed`: when, and with what."""

    def __init__(self, db, threads=4):
        self.db, self.stored, self.failed, self.took = db, [], [], []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        assert eventually(lambda: len(self.stored) > 20)
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number):
        for count in range(10**9):
            if self._over.is_set():
                break
            began, name = time.monotonic(), f"{number}-{count}"
            try:
                write(self.db, name)
                self.stored.append((time.monotonic(), name))
            except ServiceUnavailable as error:
                self.failed.append((time.monotonic(), error.message))
            self.took.append((began, time.monotonic() - began))
            time.sleep(0.005)

    def stored_since(self, moment):
        """Return how many were stored since then."""
        return sum(when > moment for when, _ in self.stored)


UNSURE = "The database did not confirm the change. Look whether it is there, then try again."


def test_the_first_server_of_the_list_that_may_be_written_to_is(servers, url):
    one, two, three = servers
    ask = lambda *order: execute(url(*order), "SELECT @@port AS port")[0]["port"]  # noqa: E731

    assert ask(one, two, three) == one.port
    assert ask(three, two, one) == three.port
    execute(one.owner, "SET GLOBAL read_only = 1")
    assert ask(one, two, three) == two.port
    two.kill()
    assert ask(one, two, three) == three.port
    three.freeze()
    assert ask(one, two, three) == one.port  # which may be read at least
    one.kill()
    with pytest.raises(drivers.DatabaseError) as refused:
        ask(one, two, three)

    said = refusal(url(), refused.value)
    assert all(f"127.0.0.1:{server.port}" in said for server in servers)
    assert said.startswith("The database shop on 127.0.0.1:") and "cannot be reached" in said
    assert one.application.password not in said


@DRIVERS
@pytest.mark.parametrize("fault", ["killed", "frozen", "read-only"])
def test_the_next_server_is_written_to_when_this_one_cannot_be(servers, open_database, lag, figure, fault, driver):
    one, two, _ = servers
    db = open_database(driver=driver)

    with Writers(db) as writers:
        began = {
            "killed": one.kill,
            "frozen": one.freeze,
            "read-only": lambda: execute(one.owner, "SET GLOBAL read_only = 1") or time.monotonic(),
        }[fault]()
        assert eventually(lambda: writers.stored_since(began + 3) > 20)

    figure(f"{fault}, {driver}: failed", len(writers.failed))
    figure(f"{fault}, {driver}: longest", max(took for _, took in writers.took), "s")
    assert {message for _, message in writers.failed} <= {UNSURE}  # who had sent COMMIT, and nobody else
    assert len(writers.failed) <= 4  # threads
    assert all(when < began + lag.bound(2, began) for when, _ in writers.failed)
    assert max(took for _, took in writers.took) < lag.bound(2, began)
    assert not db.breaker.is_open
    one.revive()
    names, kept = {name for _, name in writers.stored}, (written(one), written(two))
    assert names <= kept[0] | kept[1]
    assert not kept[0] & kept[1]  # nothing was written twice
    assert len(kept[0] | kept[1]) - len(names) <= len(writers.failed)


def test_an_earlier_server_is_written_to_again_once_it_has_been_well_for_some_seconds(servers, open_database, lag):
    one, two, _ = servers
    db = open_database()
    execute(one.owner, "SET GLOBAL read_only = 1")
    assert place(db) == two.port

    with Writers(db) as writers:
        back = time.monotonic()
        execute(one.owner, "SET GLOBAL read_only = 0")
        assert eventually(lambda: place(db) == one.port)
        spent = time.monotonic() - back

    assert primary.BACK - 0.1 < spent < lag.bound(primary.BACK + 1, back)
    assert writers.failed == []  # what was begun was finished where it began


def test_all_processes_write_to_the_same_server_within_a_second(servers, open_database, url, lag):
    """As far as one process can tell: each choice here is as independent as those of two processes."""
    one, two, _ = servers
    db, other = open_database(), open_database(driver="pymysql")
    alone = primary.Primary(url(), drivers._open_to_ask)
    alone.watch(other)
    assert place(db) == one.port

    killed = one.kill()

    assert eventually(lambda: alone.server().port == place(db) == two.port)
    assert time.monotonic() - killed < lag.bound(1, killed)


def test_each_server_is_watched_by_one_thread_however_often_users_come_and_go(servers, url):
    """As commands do, whose transactions have a Database each."""
    choice = primary.Primary(url(), drivers._open_to_ask)
    mine = lambda thread: getattr(getattr(thread, "_target", None), "__self__", None) is choice  # noqa: E731
    watching = lambda: sum(map(mine, threading.enumerate()))  # noqa: E731
    user = Reader()
    choice.watch(user)
    servers[2].freeze()
    del user
    assert eventually(lambda: watching() < len(servers))  # one has seen it, another one waits for an answer

    user = Reader()
    choice.watch(user)
    time.sleep(2 * fitness.SILENCE + primary.PERIOD)  # who was to end has ended

    assert watching() == len(servers)


class Reader:
    """A user that does nothing where another server is written to."""

    def moved(self, away):
        """See primary.User."""


def test_where_no_server_may_be_written_to_one_reads_and_hears_at_once_that_one_cannot_write(
    servers, open_database, lag
):
    db = open_database()
    assert write(db, "before")
    for server in servers:
        execute(server.owner, "SET GLOBAL read_only = 1")
    with pytest.raises(ServiceUnavailable):
        write(db, "at first one waits for a server")
    assert eventually(lambda: time.monotonic() - db_primary(db)._well > TIMEOUT)

    began = time.monotonic()
    with pytest.raises(ServiceUnavailable, match="cannot write just now"):
        write(db, "not now")
    spent = time.monotonic() - began

    assert spent < lag.bound(0.5, began)
    assert place(db) in {server.port for server in servers}
    assert not db.breaker.is_open


def db_primary(db):
    """Return the choice that a Database goes by."""
    return drivers.primary_of(db.url)


def test_the_breaker_opens_where_no_server_answers_and_closes_with_the_first_that_does(servers, open_database, lag):
    one, _, three = servers
    db = open_database()
    assert place(db) == one.port
    for server in servers:
        server.kill()
    assert eventually(lambda: refused_at_once(db))
    assert db.breaker.is_open

    three.start()
    back = time.monotonic()
    assert eventually(lambda: not db.breaker.is_open)

    assert time.monotonic() - back < lag.bound(2, back)
    assert place(db) == three.port


def refused_at_once(db):
    """Whether a request is refused without waiting."""
    began = time.monotonic()
    with contextlib.suppress(ServiceUnavailable):
        place(db)
        return False
    return time.monotonic() - began < 0.05


def test_who_waits_for_an_answer_of_a_server_that_froze_is_served_by_the_next(servers, open_database, lag):
    """Its socket is shut, so that it does not wait for the rest of DATABASE_TIMEOUT."""
    one, two, _ = servers
    db = open_database(timeout=20.0)
    runs = []

    def work(session):
        session._cursor.execute("SELECT @@port AS port")
        runs.append(session._cursor.fetchone()["port"])
        if runs == [one.port]:
            one.freeze()
        return session.add("categories/add", name="Tea", description=None)

    began = time.monotonic()
    db.transaction(work)

    assert runs == [one.port, two.port]
    assert time.monotonic() - began < lag.bound(3, began)
    assert written(two) == {"Tea"}


@DRIVERS
def test_a_commit_that_is_refused_as_the_server_became_read_only_is_repeated_on_the_next(
    servers, open_database, driver
):
    """It says that it has stored nothing."""
    one, two, _ = servers
    db, ports = open_database(driver=driver), []

    def work(session):
        session._cursor.execute("SELECT @@port AS port")
        ports.append(session._cursor.fetchone()["port"])
        session.add("categories/add", name="Tea", description=None)
        execute(one.owner, "SET GLOBAL read_only = 1")

    db.transaction(work)

    assert ports == [one.port, two.port]
    assert (written(one), written(two)) == (set(), {"Tea"})


def test_a_commit_that_the_only_server_refuses_is_not_said_to_be_stored_perhaps(servers, open_database):
    one = servers[0]
    db = open_database(one)

    def work(session):
        session.add("categories/add", name="Tea", description=None)
        execute(one.owner, "SET GLOBAL read_only = 1")

    with pytest.raises(ServiceUnavailable, match="cannot write just now"):
        db.transaction(work)

    assert written(one) == set()


def test_the_lock_of_who_does_what_is_done_once_is_held_on_the_server_that_is_written_to(servers, url):
    one, two, _ = servers
    here, there = (HostLock(url(), TIMEOUT, "bodega.chores") for _ in range(2))
    try:
        assert (here.hold(), there.hold()) == (True, False)
        execute(one.owner, "SET GLOBAL read_only = 1")

        assert (there.hold(), here.hold(), there.hold()) == (True, False, True)
        assert execute(two.owner, "SELECT IS_USED_LOCK(%s) IS NOT NULL AS held", [here.name]) == [{"held": 1}]
        free = "SELECT IS_FREE_LOCK(%s) AS free"  # once the server has seen that the connection is closed
        assert eventually(lambda: execute(one.owner, free, [here.name]) == [{"free": 1}])
    finally:
        here.release()
        there.release()


def test_a_wrong_password_on_all_servers_is_said_to_be_one(servers, url):
    with pytest.raises(drivers.DatabaseError) as refused:
        drivers.connect(dataclasses.replace(url(), password="hunter2"), TIMEOUT)

    said = refusal(url(), refused.value)
    assert said.startswith("The database refused the login 'shop' at shop on 127.0.0.1:")
    assert said.endswith("Check user and password in DATABASE_URL.")
    assert "hunter2" not in f"{said} {refused.value}"


@DRIVERS
def test_a_shop_of_several_processes_goes_on_with_the_next_server(servers, url, serve, lag, figure, driver):
    one, two, three = servers
    for server in servers:
        for table in ("cart_items", "carts", "products"):
            execute(server.owner, f"DELETE FROM {table}")
        execute(server.owner, "INSERT INTO products (id, name, price, stock_quantity) VALUES (1, 'Tea', 1, 100000)")
    shop = serve(url(one, two, three, driver=driver), CHORES="on", QUEUE_TIMEOUT="5")
    assert eventually(lambda: shop.request("/api/ready").status == 200)
    asked, over = [], threading.Event()

    def visit(name):
        while not over.is_set():
            began = time.monotonic()
            answer = shop.request(
                "/api/cart/items", "POST", {"product_id": 1, "quantity": 1}, Session_ID=f"{name}-{len(asked)}"
            )
            asked.append((began, time.monotonic() - began, answer))
            time.sleep(0.02)

    visitors = [threading.Thread(target=visit, args=(f"visitor{number}",)) for number in range(6)]
    for visitor in visitors:
        visitor.start()
    assert eventually(lambda: len(asked) > 50)
    killed = one.kill()
    assert eventually(lambda: sum(began > killed + 2 for began, *_ in asked) > 50)
    frozen = two.freeze()
    assert eventually(lambda: sum(began > frozen + 3 for began, *_ in asked) > 50)
    over.set()
    for visitor in visitors:
        visitor.join()

    failed = [(began, answer) for began, _, answer in asked if answer.status != 201]
    figure(f"{driver}: of {len(asked)} adds failed", len(failed))
    figure(f"{driver}: longest", max(took for _, took, _ in asked), "s")
    assert {answer.status for _, answer in failed} <= {503}
    assert {answer.json["error"]["message"] for _, answer in failed} <= {UNSURE}
    assert len(failed) <= 2 * len(visitors)  # who had sent COMMIT
    assert max(took for _, took, _ in asked) < lag.bound(2, killed)
    assert shop.request("/api/ready").status == 200
    assert execute(three.owner, "SELECT COUNT(*) AS n FROM cart_items")[0]["n"] > 50
    assert shop.log.count("The database is written to at") >= 2
    assert one.application.password not in shop.log
    assert "Traceback" not in shop.log
