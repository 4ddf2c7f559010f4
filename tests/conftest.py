"""The fixtures that many tests use: a real MariaDB of their own, the wired shop, rows, and real servers.

TEST_DATABASE_URL names another server with an empty schema, which is left empty again. TEST_DRIVER=mysqldb runs them
by mysqlclient on their own MariaDB; without it they use PyMySQL, or what TEST_DATABASE_URL says.
"""

import collections
import contextlib
import dataclasses
import functools
import itertools
import logging
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import large
import pytest
from accessibility import axe, violations  # noqa: F401 - fixtures
from helpers import (
    BY_HAND,
    PASSWORD,
    SETTINGS,
    account,
    as_url,
    bearer,
    copy_program,
    empty_tables,
    eventually,
    execute,
    login,
    may_make_accounts,
    register,
    require_sound_data,
    servers,
)
from lag import Lag
from webtest import TestApp

import server
from core import cli, config, database_url, logs, metrics, recurring
from core.db.migrator import Migrator
from core.db.owner import give_rights
from core.db.session import Session
from core.db.statements import Statements
from core.metrics_file import File, records
from core.setup import system
from core.setup.embedded import ACCOUNT, Accounts, Embedded
from core.setup.system import ROOT

MEASURED = 1  # case of a slow test whose coverage is measured
PACED = ("cluster", "faults", "storefront")  # folders whose tests watch processes, clocks and browsers

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` has it ignored, and so would all that the tests start
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it, and our processes inherit that


@pytest.hookimpl(trylast=True)  # tests/faults/conftest.py marks its tests before
def pytest_collection_modifyitems(items):
    """Begin with the files of slow tests: else one of them ends long after all others. Measure less of what is alike.

    To measure coverage doubles the CPU of a test (Python 3.11): of a slow one, it is done for the first case.

    In CI, whose machine may stand still for a second at any time, a test that depends on its pace gets a second try. A
    first one that failed is printed in full at the end (pytest_terminal_summary): somebody is to look at it.
    """
    slow, all_of, cases = collections.Counter(), collections.Counter(), collections.Counter()
    for item in items:
        all_of[item.path] += 1
        cases[function := item.nodeid.partition("[")[0]] += 1
        if item.get_closest_marker("slow"):
            slow[item.path] += 1
            if cases[function] > MEASURED:
                item.add_marker("no_cover")
        if os.environ.get("CI") == "true" and depends_on_pace(item):
            item.add_marker(pytest.mark.flaky(reruns=1))
    items.sort(key=lambda item: -slow[item.path] / all_of[item.path])


def depends_on_pace(item):
    """Whether a test's verdict may depend on how fast the machine is just then."""
    return bool(
        item.get_closest_marker("slow") or "lag" in item.fixturenames or set(PACED) & set(item.path.parent.parts)
    )


def pytest_terminal_summary(terminalreporter):
    """Print the failures of tests that passed, or not, at their second try."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"failed at first: {report.nodeid}", "_")
        terminalreporter.write_line(report.longreprtext)


@pytest.fixture(autouse=True)
def nothing_was_logged_yet():
    """Let the first failure of each test be a line of the log, not only counted; and no line be of an old request."""
    recurring.forget()
    logs.SERVING.set(None)
    yield
    for thread in threading.enumerate():
        # One that waits for a database which is nowhere asks for ever; each refusal formats a traceback in Python's
        # parser, and what the main thread parses meanwhile fails (cpython issue 106905).
        if thread.name == "breaker":
            thread._target.__self__._report = lambda *_: None  # the next test reads the log
            thread._target.__self__._probe = lambda *_: True
        if thread.name == "primary":  # the same
            thread._target.__self__._users.clear()


@pytest.fixture(scope="session")
def accounts():
    """The database's logins: `owner` may change the schema, `application` is what the shop uses."""
    with contextlib.ExitStack() as stack:
        if elsewhere := os.environ.get("TEST_DATABASE_URL"):
            url = database_url.parse(elsewhere)
            logins = Accounts(url, stack.enter_context(shops_account(url)))
        else:
            folder = pathlib.Path(tempfile.mkdtemp(prefix="bodega-test-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            own = stack.enter_context(Embedded(folder, tell=lambda line: None, options=("--skip-log-bin",)))
            execute(own.owner, "SET GLOBAL innodb_flush_log_at_trx_commit = 0")  # a commit takes half the time
            driver = os.environ.get("TEST_DRIVER", own.owner.driver)
            logins = Accounts(*(dataclasses.replace(login, driver=driver) for login in (own.owner, own.application)))
        migrator = Migrator(logins.owner, say=lambda line: None)
        require_empty(logins.owner)
        migrator.up()
        if logins.application != logins.owner:
            give_rights(
                logins.owner,
                logins.application.user if elsewhere else ACCOUNT,
                Statements(ROOT / "sql", more=[ROOT / "reports"]),
            )
        yield logins
        if elsewhere:
            while migrator.down():
                pass
            execute(logins.owner, "DROP TABLE schema_migrations")


@contextlib.contextmanager
def shops_account(owner):
    """Give the login of an account for the shop, without rights; or the owner's own where it may make none."""
    if may_make_accounts(owner):
        with account(owner, f"{owner.database[:20]}_test") as login:
            yield login
    else:
        yield owner


def require_empty(url):
    """Leave with a sentence where the schema holds anything: these tests remove all they find."""
    tables = execute(url, "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()")
    if tables:
        pytest.exit(f"TEST_DATABASE_URL: {url.place} is not empty. Give the tests an empty schema of their own.", 2)


@pytest.fixture(scope="session")
def shop(accounts):
    """The WSGI application, wired as server.py wires it."""
    return server.shop(SETTINGS, accounts.application)


@pytest.fixture
def wired(accounts):
    """`wired(settings)`: WebTest on the shop wired with other settings, until the test ends; `url`: of its database."""

    def wire(settings=SETTINGS, url=None, **extra):
        return TestApp(server.shop(settings, url or accounts.application), **extra)

    yield wire
    server.shop(SETTINGS, accounts.application)  # all wirings share the routes of one app


@pytest.fixture
def sql(accounts):
    """`sql(statement, args)`: run anything as the owner, committed; the tables are empty at the beginning.

    At the end of the test the files of checks/ must find nothing in the tables that it has not changed by hand.
    """
    empty_tables(accounts.owner)
    yield functools.partial(execute, accounts.owner)
    require_sound_data(accounts.owner)


@pytest.fixture(scope="module")
def sized(accounts):
    """The database's logins, with 20,000 products and orders, and as much of all else, while a file is tested."""
    with large.filled(accounts.owner):
        yield accounts


@pytest.fixture
def client(shop, sql):
    """WebTest on the wired shop, with empty tables; any status is returned, not raised."""
    app = TestApp(shop)
    app.do_request_strictly = app.do_request
    app.do_request = lambda req, status=None, expect_errors=None: app.do_request_strictly(req, status or "*", True)
    return app


@pytest.fixture
def lag():
    """A Lag that beats as long as the test runs: bounds of times are longer on a machine that is busy."""
    beating = Lag()
    yield beating
    beating.stop()


@pytest.fixture
def counted():
    """`counted(name, *labels)`: how much the shop has counted in this test, see core/metrics.py; of a gauge 1 more."""
    counts = File(None, 4)
    metrics.use(counts)
    yield lambda name, *labels: sum(
        record.words[0] for record in records(counts.words) if (record.name, record.labels) == (name, labels)
    )
    metrics.use(None)


class Make:
    """Rows for a test, with sensible values for what the test does not care about."""

    def __init__(self, sql):
        self._sql = sql
        self._numbers = itertools.count(1)

    def category(self, name=None, **columns):
        """Add a category; return its id."""
        return self._insert("categories", {"name": name or f"Category {next(self._numbers)}", **columns}, False)

    def product(self, name=None, price="10.00", stock=10, **columns):
        """Add a product, without its words; return its id."""
        name = name or f"Product {next(self._numbers)}"
        BY_HAND.add("product_words")
        return self._insert("products", {"name": name, "price": price, "stock_quantity": stock, **columns}, False)

    def products(self, count, **columns):
        """Add several alike."""
        return [self.product(**columns) for _ in range(count)]

    def cart(self, session, *products, quantity=1):
        """Make a cart with a line for each of these products."""
        self._sql("INSERT IGNORE INTO carts (session_id, version) VALUES (%s, 1)", [session], False)
        for product in products:
            line = "INSERT INTO cart_items (session_id, product_id, quantity) VALUES (%s, %s, %s)"
            self._sql(line, [session, product, quantity], False)

    def order(self, *lines, **columns):
        """Add an order with these lines: (product, quantity, unit_price); return its id."""
        number = f"{next(self._numbers):05}-00000"
        total = sum(quantity * float(price) for _, quantity, price in lines)
        columns = {"number": number, "currency": "EUR", "total": total, "email": "ada@example.com", **columns}
        columns.setdefault("item_count", sum(quantity for _, quantity, _ in lines))
        if columns.get("payment_status") in ("paid", "partly_refunded", "refunded"):
            columns.setdefault("paid", columns["total"])
        id = self._insert("orders", columns)
        for product, quantity, price in lines:
            line = (
                "INSERT INTO order_items (order_id, product_id, name, quantity, unit_price) VALUES (%s, %s, %s, %s, %s)"
            )
            self._sql(line, [id, product, f"Product {product}", quantity, price])
        return id

    def _insert(self, table, columns, by_hand=True):
        names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
        self._sql(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(columns.values()), by_hand)
        return self._sql(f"SELECT MAX(id) AS id FROM {table}")[0]["id"]


@pytest.fixture
def make(sql):
    """Factories for rows."""
    return Make(sql)


@pytest.fixture
def meanwhile(monkeypatch):
    """`meanwhile(statement, job)`: begin a job when this statement has been run first; returns its result's function.

    Who asked goes on when the job is done, or is seen to wait.
    """
    with ThreadPoolExecutor(1) as pool:

        def begin(name, job):
            begun = []

            def hooked(plainly):
                def run(session, statement, /, **params):
                    result = plainly(session, statement, **params)
                    if statement == name and not begun:
                        begun.append(pool.submit(job))
                        wait(begun, timeout=0.3)
                    return result

                return run

            for method in ("one", "many", "run"):
                monkeypatch.setattr(Session, method, hooked(getattr(Session, method)))
            return lambda: wait(begun).done.pop().result()

        yield begin


@pytest.fixture
def counters(tmp_path):
    """A server's counters, in which this process and its children count."""
    made = File(tmp_path / "run", 6)
    metrics.use(made)
    yield made
    metrics.use(None)
    made.close()


@pytest.fixture
def redis(tmp_path):
    """`redis()` starts a Redis on the unix socket `redis.socket`, address `redis.url`, that answers; all are ended."""
    program = system.program("redis-server", "redis-check-rdb")  # redis-tools has the server under that name
    if not program:
        pytest.skip("needs redis-tools")
    with contextlib.ExitStack() as running:

        def begin():
            words = ["redis-server", "--port", "0", "--unixsocket", str(begin.socket), "--save", ""]
            process = subprocess.Popen(words, executable=program, stdout=subprocess.DEVNULL)
            running.callback(process.wait)
            running.callback(process.kill)
            assert eventually(answers)
            return process

        def answers():
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
                client.connect(str(begin.socket))
                return True

        begin.socket = tmp_path / "redis"
        begin.url = f"redis+unix://{begin.socket}"
        yield begin


@pytest.fixture
def program_copy(tmp_path):
    """The folder of a copy of the program, whose files a test may edit."""
    return copy_program(tmp_path / "copy")


@pytest.fixture
def start(tmp_path):
    """`start(*words, **variables)`: a real server.py that answers; ended with the test."""
    with servers(tmp_path) as begin:
        yield begin


@pytest.fixture
def served(start, accounts, sql):
    """A real server on the tests' database, two workers of four threads, with empty tables and all ways to pay."""
    settings = {"DATABASE_URL": as_url(accounts.application), "PAYMENT_PROVIDERS": "manual,dummy"}
    return start("--workers", "2", "--threads", "4", **settings)


@pytest.fixture
def root(client, sql):
    """An administrator's header."""
    register(client, "keeper")
    sql("UPDATE users SET role = 'admin' WHERE username = 'keeper'", by_hand=False)
    return bearer(login(client, "keeper"))


@pytest.fixture
def boss(served, sql):
    """A real server, and an administrator's header as keywords."""
    account = {"username": "keeper", "password": PASSWORD}
    served.request("/api/users/register", "POST", {**account, "email": "keeper@example.com"})
    sql("UPDATE users SET role = 'admin'", by_hand=False)
    return served, bearer(served.request("/api/users/login", "POST", account).json["data"]["token"])


@pytest.fixture
def typed(monkeypatch, capsys, tmp_path):
    """`typed(*words, env_file="…", **variables)`: run a command here; return (exit status, output, errors)."""
    log = logging.getLogger()
    handlers, level = log.handlers[:], log.level

    def run(*words, env_file=None, **variables):
        path = tmp_path / ".env"
        if env_file is not None:
            path.write_text(env_file)
        with monkeypatch.context() as patched:
            patched.setattr(config, "load", functools.partial(config.load, variables, path))
            try:
                status = cli.main(list(words), server.COMMANDS, config.load, server.shop)
            except SystemExit as left:  # --help
                status = left.code
            finally:  # commands send the log of their process to standard error
                log.handlers[:], log.level = handlers, level
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """One browser for all tests of a file; nothing in it is kept from one page to the next but the cache."""
    from browser import chromium_in

    with chromium_in(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def shop_url(accounts, tmp_path_factory):
    """The address of a real server on the tests' database, for all tests of a file."""
    with servers(tmp_path_factory.mktemp("server")) as begin:
        yield begin("--workers", "1", "--threads", "8", DATABASE_URL=as_url(accounts.application)).url
