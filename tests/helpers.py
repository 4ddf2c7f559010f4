"""What many tests use: a real server, accounts, threads and processes. The fixtures stand in conftest.py."""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode

import pytest

from commands.check_data import violations
from core import config
from core.database_url import DatabaseUrl
from core.db import drivers, rights
from core.db.statements import Statements
from core.setup.system import ROOT

IN_C = pytest.mark.skipif(
    not drivers.MySQLdb, reason="needs mysqlclient: python3 -m pip install mysqlclient (gcc pkg-config libmariadb-dev)"
)

ORIGIN = "http://front.example"
TABLES = (
    "refunds",
    "payments",
    "orders",
    "outbox",
    "webhooks",
    "audit_entries",
    "idempotency_keys",
    "carts",
    "product_words",
    "known_words",
    "word_zones",
    "missed_searches",
    "products",
    "categories",
    "users",
)
PASSWORD = "Correct-Horse-7"
SECRET = "a-secret-of-the-tests-and-of-nobody-else"
SETTINGS = config.Config(
    cors_origins=(ORIGIN,),
    secret_key=SECRET,
    bcrypt_cost=4,
    rate_limits=False,
    cache_ttl=0,
    count_cache_ttl=0,
    server_timing=False,
)
NOWHERE = DatabaseUrl("shop", "shop", "wrong", "127.0.0.1", 1)  # nothing listens on port 1
CHECKS = list(Statements(ROOT / "checks"))
LONG = 60  # seconds; nothing here takes so long on a busy machine, and what hangs is ended then


BY_HAND = set()  # tables that a test has changed otherwise than by the shop


def execute(url, statement, args=None, by_hand=True):
    """Run one statement on a connection of its own, committed; return the rows as dicts.

    `by_hand=False`: what it changes is as the shop would have it, and is checked at the end of the test.
    """
    if by_hand and not statement.lstrip("( ").upper().startswith(("SELECT", "SHOW", "EXPLAIN", "ANALYZE")):
        BY_HAND.update(re.findall(r"\w+", statement))
    connection = drivers.connect(url, LONG)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, args)
            rows = list(cursor.fetchall())
        connection.commit()
        return rows
    finally:
        connection.close()


def may_make_accounts(owner):
    """Whether this login may make accounts and give them its rights."""
    try:
        execute(owner, "CREATE USER `bodega trial`@localhost")
        try:
            execute(owner, f"GRANT SELECT ON {rights.quoted(owner.database)}.* TO `bodega trial`@localhost")
        finally:
            execute(owner, "DROP USER `bodega trial`@localhost")
    except drivers.DatabaseError:
        return False
    return True


@contextlib.contextmanager
def account(owner, name):
    """Give the login of a new account, NAME or NAME@HOST, that has no right at all; it is removed afterwards."""
    quoted, password = rights.account_name(name), secrets.token_urlsafe(16)
    execute(owner, f"DROP USER IF EXISTS {quoted}")  # what a killed run has left
    execute(owner, f"CREATE USER {quoted} IDENTIFIED BY '{password}'")
    try:
        yield dataclasses.replace(owner, user=name.rpartition("@")[0] or name, password=password)
    finally:
        execute(owner, f"DROP USER {quoted}")


def execute_script(url, text):
    """Run several statements on a connection of its own, each committed by itself."""
    with contextlib.closing(drivers.connect(url, LONG, scripts=True)) as connection, connection.cursor() as cursor:
        cursor.execute(text)
        while cursor.nextset():
            continue


def empty_tables(url):
    """Delete all rows that tests make."""
    BY_HAND.clear()
    with contextlib.closing(drivers.connect(url, LONG)) as connection, connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute("DELETE FROM import_parts WHERE id > 1")
        cursor.execute("UPDATE word_zones_until SET product_id = 0, complete = 0")  # tests add products by SQL
        connection.commit()


def require_sound_data(url):
    """Fail where a file of checks/ finds something in tables that the test has not changed by hand."""
    checks = [check for check in CHECKS if BY_HAND.isdisjoint(re.findall(r"(?:FROM|JOIN)\s+(\w+)", check.body))]
    found = {check.path: rows[:3] for check, rows in violations(url, checks) if rows}
    assert not found, found


def connections_of(url):
    """Return the class of the connections to this database, whatever its driver: a test may let a method fail."""
    with drivers.connect(url, LONG) as connection:
        return type(connection)


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

    def stop(self, seconds=LONG):
        """End it if it still runs; return its exit status. Kills it after so many seconds."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    @property
    def log(self):
        """All that it has printed, output and errors together."""
        return self._log.read_text()

    def wait_for(self, pattern, seconds=LONG):
        """Wait until the log matches a regular expression; return the match. Fails where it has ended without."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            if match := re.search(pattern, self.log):
                return match
            if ended:
                break
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
    hosts = ",".join(f"{server.host}:{server.port}" for server in login.servers)
    return f"{scheme}://{who}@{hosts}/{quote(login.database)}" + (f"?{query}" if query else "")


def environment(**variables):
    """Return a bare environment, so that nothing of this machine's settings gets in."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "SECRET_KEY": SECRET,
        "BCRYPT_COST": "4",
        "QUEUE_TIMEOUT": "10",  # a busy machine is no overload
        "CHORES": "off",  # their process is no worker, and they would purge what a test has made
        **variables,
    }


def command(*words, timeout=3 * LONG, input=None, home=ROOT, **variables):
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


def options(module, **given):
    """Return the options of a command as its parser has them, but for these."""
    parser = argparse.ArgumentParser()
    module.arguments(parser)
    return argparse.Namespace(**{**vars(parser.parse_args([])), **given})


@contextlib.contextmanager
def servers(folder, home=ROOT):
    """Give `start(*words, **variables)`: a real server.py that answers; its log goes to `folder`; all are ended.

    `home`: the folder of a copy of the program. `start(…, program=[…])`: another program that takes the same words;
    `wait=False`: do not wait until it serves.
    """
    running = []

    def start(*words, wait=True, program=(sys.executable, str(home / "server.py")), **variables):
        port, log = free_port(), folder / f"server-{len(running)}.log"
        process = subprocess.Popen(
            [*program, "serve", "--port", str(port), *words],
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
            real.wait_for("Serving on", 3 * LONG)
        return real

    try:
        yield start
    finally:
        for real in running:
            if real.process.poll() is None:
                real.process.terminate()
        for real in running:
            real.stop()


def copy_program(copy):
    """Copy the program, without its tests, into a new folder; return that."""
    folders = [
        "core",
        "commands",
        "deploy",
        "mails",
        "resources",
        "storefront",
        "sql",
        "migrations",
        "reports",
        "checks",
    ]
    for folder in folders:
        shutil.copytree(ROOT / folder, copy / folder)
    shutil.copy2(ROOT / "server.py", copy)
    (copy / ".env").write_text("")
    return copy


def workers(real):
    """Return the ids of a server's workers."""
    return set(map(int, pathlib.Path(f"/proc/{real.process.pid}/task/{real.process.pid}/children").read_text().split()))


def both_workers(real):
    """Return the ids of a server's two workers, once they are there."""
    assert eventually(lambda: len(workers(real)) == 2)
    return workers(real)


def running(pid):
    """Whether a process is there, and not just its entry."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def eventually(happens, seconds=LONG):
    """Wait until `happens()`; return whether it did."""
    deadline = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def refuses(port, host="127.0.0.1"):
    """Whether nobody listens."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except OSError:  # reset while the door closes
        return False
    return False


def register(client, username="alice", **fields):
    """Register; return the answer."""
    body = {"username": username, "email": f"{username}@example.com", "password": PASSWORD, **fields}
    return client.post_json("/api/users/register", body)


def login(client, username="alice", password=PASSWORD):
    """Log in; return the token."""
    answer = client.post_json("/api/users/login", {"username": username, "password": password})
    assert answer.status_int == 200, answer.text
    return answer.json["data"]["token"]


def bearer(token):
    """Return the header for a token."""
    return {"Authorization": f"Bearer {token}"}


def at_once(jobs):
    """Run all jobs at the same moment; return what they return."""
    gate = threading.Barrier(len(jobs))
    with ThreadPoolExecutor(len(jobs)) as pool:
        return [f.result() for f in [pool.submit(lambda job=job: (gate.wait(), job())[1]) for job in jobs]]


def forked(work):
    """Run this in a process of its own; return its id."""
    if (child := os.fork()) == 0:
        status = 1
        with contextlib.suppress(BaseException):
            work()
            status = 0
        os._exit(status)
    return child


def ended(children):
    """Wait for these processes, and return their exit codes; end what hangs."""
    codes, deadline = {}, time.monotonic() + LONG
    while children - codes.keys():
        for child in children - codes.keys():
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                codes[child] = os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return set(codes.values())


def is_one_sentence(text):
    """Whether this is one line for a person."""
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text
