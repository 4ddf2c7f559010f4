"""What the tests stand on: a real MariaDB of their own, the wired shop, and real servers where sockets matter.

TEST_DATABASE_URL names another server with an empty schema, which is left empty again. TEST_DRIVER=mysqldb runs them
by mysqlclient on their own MariaDB; without it they use PyMySQL, or what TEST_DATABASE_URL says.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from urllib.parse import quote, urlencode

import pytest
from webtest import TestApp

import server
from core import config, database_url
from core.db import drivers, migrations
from core.setup.embedded import Accounts, Embedded
from core.setup.system import ROOT

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored, and so had all that we start

ORIGIN = "http://front.example"
TABLES = ("audit_entries", "cart_items", "products", "categories", "users")
PARTS = ("core", "commands", "resources", "sql", "migrations")  # of the program, beside server.py
SECRET = "a-secret-of-the-tests-and-of-nobody-else"
SETTINGS = config.Config(
    cors_origins=(ORIGIN,), secret_key=SECRET, bcrypt_cost=4, rate_limits=False, cache_ttl=0, count_cache_ttl=0
)


@pytest.fixture(scope="session")
def accounts():
    """The database's logins: `owner` may change the schema, `application` is what the shop uses."""
    with contextlib.ExitStack() as stack:
        if elsewhere := os.environ.get("TEST_DATABASE_URL"):
            url = database_url.parse(elsewhere)
            logins = Accounts(url, url)
        else:
            folder = pathlib.Path(tempfile.mkdtemp(prefix="bodega-test-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            own = stack.enter_context(Embedded(folder, tell=lambda line: None))
            driver = os.environ.get("TEST_DRIVER", own.owner.driver)
            logins = Accounts(*(dataclasses.replace(login, driver=driver) for login in (own.owner, own.application)))
        migrator = migrations.Migrator(logins.owner, say=lambda line: None)
        require_empty(logins.owner)
        migrator.up()
        yield logins
        while migrator.down():
            pass
        execute(logins.owner, "DROP TABLE schema_migrations")


def require_empty(url):
    """Leave with a sentence where the schema holds anything: these tests remove all they find."""
    tables = execute(url, "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()")
    if tables:
        pytest.exit(f"TEST_DATABASE_URL: {url.place} is not empty. Give the tests an empty schema of their own.", 2)


def execute(url, statement, args=None):
    """Run one statement on a connection of its own, committed; return the rows as dicts."""
    connection = drivers.connect(url, 10)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, args)
            rows = list(cursor.fetchall())
        connection.commit()
        return rows
    finally:
        connection.close()


def connections_of(url):
    """Return the class of the connections to this database, whatever its driver: a test may let a method fail."""
    with drivers.connect(url, 10) as connection:
        return type(connection)


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
    server.shop(SETTINGS, accounts.application)  # the routes are those of the one app, whoever wires them


@pytest.fixture
def sql(accounts):
    """`sql(statement, args)`: run anything as the owner, committed; the tables are empty at the beginning."""
    for table in TABLES:
        execute(accounts.owner, f"DELETE FROM {table}")
    execute(accounts.owner, "DELETE FROM import_parts WHERE id > 1")
    return lambda statement, args=None: execute(accounts.owner, statement, args)


@pytest.fixture
def client(shop, sql):
    """WebTest on the wired shop, with empty tables; any status is returned, not raised."""
    app = TestApp(shop)
    app.do_request_strictly = app.do_request
    app.do_request = lambda req, status=None, expect_errors=None: app.do_request_strictly(req, status or "*", True)
    return app


class Make:
    """Rows for a test, with sensible values for what the test does not care about."""

    def __init__(self, sql):
        self._sql = sql
        self._numbers = itertools.count(1)

    def category(self, name=None, **columns):
        """Add a category; return its id."""
        return self._insert("categories", {"name": name or f"Category {next(self._numbers)}", **columns})

    def product(self, name=None, price="10.00", stock=10, **columns):
        """Add a product; return its id."""
        name = name or f"Product {next(self._numbers)}"
        return self._insert("products", {"name": name, "price": price, "stock_quantity": stock, **columns})

    def products(self, count, **columns):
        """Add several alike."""
        return [self.product(**columns) for _ in range(count)]

    def _insert(self, table, columns):
        names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
        self._sql(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(columns.values()))
        return self._sql(f"SELECT MAX(id) AS id FROM {table}")[0]["id"]


@pytest.fixture
def make(sql):
    """Factories for rows."""
    return Make(sql)


@dataclasses.dataclass
class Answer:
    """What a real server answered."""

    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class RealServer:
    """A `server.py` process on a port of its own."""

    def __init__(self, process, port, log):
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    def request(self, path, method="GET", body=None, timeout=20, **headers):
        """Ask over a real socket; headers as keywords (Session_ID="…")."""
        data = json.dumps(body).encode() if body is not None else None
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if data:
            given.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.url + path, data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def raw(self, data, timeout=10):
        """Send bytes, and return all that comes until the server closes or is silent for a second."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(data)
            connection.settimeout(1)
            received = b""
            with contextlib.suppress(TimeoutError):
                while chunk := connection.recv(65536):
                    received += chunk
            return received

    @property
    def log(self):
        """All that it has printed, output and errors together."""
        return self._log.read_text()

    def wait_for(self, pattern, seconds=20):
        """Wait until the log matches a regular expression; return the match."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if match := re.search(pattern, self.log):
                return match
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} does not come up in:\n{self.log}")


def free_port():
    """Return a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_url(login):
    """Return a DatabaseUrl as the text of DATABASE_URL."""
    options = {"unix_socket": login.unix_socket, "ssl_ca": login.ssl_ca, "ssl": None if login.tls else "off"}
    query = urlencode({name: value for name, value in options.items() if value})
    who = f"{quote(login.user, safe='')}:{quote(login.password, safe='')}"
    scheme = "mysql" if login.driver == "pymysql" else f"mysql+{login.driver}"
    return f"{scheme}://{who}@{login.host}:{login.port}/{quote(login.database)}" + (f"?{query}" if query else "")


def environment(**variables):
    """Return a bare environment, so that nothing of this machine's settings gets in."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "SECRET_KEY": SECRET,
        "BCRYPT_COST": "4",
        **variables,
    }


def command(*words, timeout=60, input=None, home=ROOT, **variables):
    """Run `server.py WORDS` to its end; return the completed process (text). `home`: where it stands, for a copy."""
    return subprocess.run(
        [sys.executable, str(home / "server.py"), *words],
        env=environment(**variables),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=timeout,
        input=input,
    )


@pytest.fixture
def house(tmp_path):
    """Where a copy of the program stands, whose files a test may edit."""
    copy = tmp_path / "house"
    copy.mkdir()
    shutil.copy2(ROOT / "server.py", copy)
    for part in PARTS:
        shutil.copytree(ROOT / part, copy / part)
    (copy / ".env").write_text("")
    return copy


@contextlib.contextmanager
def servers(folder, home=ROOT):
    """Give `start(*words, **variables)`: a real server.py that answers; its log goes to `folder`; all are ended.

    `home`: where it stands, for a copy of the program.
    """
    running = []

    def begin(*words, wait=True, **variables):
        port = free_port()
        log = folder / f"server-{len(running)}.log"
        process = subprocess.Popen(
            [sys.executable, str(home / "server.py"), "serve", "--port", str(port), *words],
            env=environment(**variables),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        real = RealServer(process, port, log)
        running.append(real)
        if wait:
            real.wait_for("Serving on", 60)
        return real

    try:
        yield begin
    finally:
        for real in running:
            if real.process.poll() is None:
                real.process.terminate()
        for real in running:
            try:
                real.process.wait(15)
            except subprocess.TimeoutExpired:
                real.process.kill()
                real.process.wait()


@pytest.fixture
def start(tmp_path):
    """`start(*words, **variables)`: a real server.py that answers; ended with the test."""
    with servers(tmp_path) as begin:
        yield begin


@pytest.fixture
def served(start, accounts, sql):
    """A real server on the tests' database, two workers of four threads, with empty tables."""
    return start("--workers", "2", "--threads", "4", DATABASE_URL=as_url(accounts.application))
