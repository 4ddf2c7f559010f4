"""A database that dies in the middle of an answer, or answers with garbage: a 503, never a 500, and nobody hangs."""

import collections
import contextlib
import dataclasses
import socket
import struct
import threading
import time

import pytest
from helpers import as_url, eventually, execute

from core.db.database import Database, DatabaseError
from core.db.migrator import Migrator
from core.db.owner import give_rights
from core.db.statement import Problem
from core.db.statements import Statements
from core.errors import ServiceUnavailable
from core.setup import system
from core.setup.embedded import ACCOUNT, Embedded
from core.setup.system import ROOT

STATEMENTS = Statements(ROOT / "sql")


def packet(source):
    """Read one packet of MySQL's protocol from a socket; b"" at the end."""
    data = b""
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:3], "little"):
        wanted = 4 if len(data) < 4 else 4 + int.from_bytes(data[:3], "little")
        if not (more := source.recv(wanted - len(data))):
            return b""
        data += more
    return data


class Puppet:
    """Says what a real server has said: one answer to each packet, and ends. `answers`: what it says, in bytes.

    `resets`: whether it ends as a program does that is killed while it has something to read: by RST.
    """

    def __init__(self, login):
        self._door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.login = dataclasses.replace(login, unix_socket=None, host="127.0.0.1", port=self._door.getsockname()[1])
        self.answers = []
        self.resets = False
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                visitor = self._door.accept()[0]
                with visitor, contextlib.suppress(OSError):
                    visitor.settimeout(5)
                    *before, last = self.answers
                    for said in before:
                        visitor.sendall(said)
                        if not packet(visitor):
                            break
                    visitor.sendall(last)
                    if self.resets:
                        time.sleep(0.02)  # what was said has arrived
                        visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        continue
                    visitor.shutdown(socket.SHUT_WR)
                    while visitor.recv(65536):
                        pass

    def close(self):
        """End."""
        self._door.close()


def recorded(login, work):
    """Return what the real server answers to each packet while `work(login)` runs."""
    answers = []
    with socket.create_server(("127.0.0.1", 0)) as door:

        def listen():
            with (
                door.accept()[0] as client,
                socket.socket(socket.AF_UNIX if login.unix_socket else socket.AF_INET) as server,
            ):
                server.connect(login.unix_socket or (login.host, login.port))
                server.settimeout(0.1)
                while True:
                    said = b""
                    with contextlib.suppress(TimeoutError):
                        while more := server.recv(65536):
                            said += more
                    answers.append(said)
                    client.sendall(said)
                    if not (asked := packet(client)):
                        return
                    server.sendall(asked)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        work(dataclasses.replace(login, unix_socket=None, host="127.0.0.1", port=door.getsockname()[1]))
        thread.join(10)
    return [said for said in answers if said]


def run(login, product=1):
    """Do what a request does: connect, read, change, commit. Return what was read."""
    db = Database(login, STATEMENTS, 1.0)

    def work(session):
        found = session.many("products/export", after_id=0, limit=5)
        session.run("cart/remove", session_id="t", product_id=product)
        return found

    try:
        return db.transaction(work)
    finally:
        if connection := getattr(db._pool.thread, "connection", None):
            with contextlib.suppress(DatabaseError):
                connection.close()


@pytest.fixture
def puppet(login):
    """A Puppet."""
    found = Puppet(login)
    yield found
    found.close()


def outcome(login):
    """Return "read" where the work was done, "503" for ServiceUnavailable, "not declared", or what else was raised."""
    try:
        run(login)
    except ServiceUnavailable:
        return "503"
    except Problem:  # a letter of a column's name is another one
        return "not declared"
    except BaseException as error:
        return repr(error)
    return "read"


ALTERED = {
    "cut off": lambda said, at: said[:at],
    "overwritten": lambda said, at: said[:at] + b"\xff" + said[at + 1 :],
    "flipped": lambda said, at: said[:at] + bytes([said[at] ^ 1]) + said[at + 1 :],
}


@pytest.mark.slow
@pytest.mark.parametrize("way", ALTERED)
def test_an_answer_that_breaks_off_or_is_garbled_at_any_byte_is_a_503(puppet, login, make, caplog, way):
    few = login.driver == "mysqldb" and way != "cut off"  # all but values is read by its C library
    least = -1 if few and way == "flipped" else 0 if few else 300  # a letter that is another one is a letter
    caplog.set_level("CRITICAL")
    make.products(2, category_id=make.category("Tea"), description="fine")
    answers = recorded(login, run)
    puppet.answers = answers
    assert outcome(puppet.login) == "read"

    found = collections.Counter()
    rows = max(range(len(answers)), key=lambda number: len(answers[number]))
    for number, said in enumerate(answers):
        places = range(len(said))
        if few:
            places = range(said.find(b"fine"), said.find(b"fine") + 4) if number == rows else ()
        for at in places:
            puppet.answers = [*answers[:number], ALTERED[way](said, at)]
            found[outcome(puppet.login)] += 1

    # With the right length, another letter of a value is a value; half of an answer is none.
    assert found.keys() <= {"503", "read"} | ({"not declared"} if way == "flipped" else set()), found
    assert found["503"] > least and (found["read"] == 0 or way != "cut off"), found


def test_a_connection_that_is_reset_amid_an_answer_is_a_503(puppet, login, make):
    """ECONNRESET is a number, too, and none of the server's."""
    make.product()
    answers, puppet.resets = recorded(login, run), True

    found = []
    for number, said in enumerate(answers):
        puppet.answers = [*answers[:number], said[: len(said) // 2]]
        found.append(outcome(puppet.login))

    assert len(found) > 5 and set(found) == {"503"}


@pytest.mark.slow
@pytest.mark.skipif(not system.program("mariadbd"), reason="needs mariadbd")
def test_a_database_that_is_killed_under_load_is_a_503_and_never_a_500(start, tmp_path):
    private = Embedded(tmp_path / "data", tell=lambda line: None)
    seen, over = collections.Counter(), threading.Event()
    with private as logins:
        Migrator(logins.owner, lambda line: None).up()
        give_rights(logins.owner, ACCOUNT, Statements(ROOT / "sql"))
        execute(logins.owner, "INSERT INTO products (name, price, stock_quantity) VALUES ('Tea', 1, 1000000)")
        url = as_url(logins.application)
        shop = start("--workers", "2", "--threads", "4", DATABASE_URL=url, CACHE_TTL="0", LOG_LEVEL="error")

        def visit(number):
            line = {"product_id": 1, "quantity": 1}
            while not over.is_set():
                seen[shop.request("/api/products").status] += 1
                seen[shop.request("/api/cart/items", "POST", line, Session_ID=f"v{number}").status] += 1

        visitors = [threading.Thread(target=visit, args=(number,)) for number in range(6)]
        for visitor in visitors:
            visitor.start()
        assert eventually(lambda: seen[200] + seen[201] > 100, 60)
        private.process.kill()
        killed = eventually(lambda: seen[503] > 20, 60)
        over.set()
        for visitor in visitors:
            visitor.join(30)

    assert killed and seen.keys() <= {200, 201, 409, 503}, seen
    assert not any(visitor.is_alive() for visitor in visitors)
