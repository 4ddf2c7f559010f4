"""What is cached in memory: for how long, how much of it, for whom, and that nobody sees what was before a write."""

import contextlib
import csv
import http.client
import io
import json
import os
import pathlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from bottle import response
from helpers import Answer, as_url, ended, eventually, forked, servers
from test_products_changes import NEW
from webtest import TestApp

from core import cache as ours
from core.app import new_app
from core.cache import Cache, Cached, Generation, Memory
from core.contract.cached_answers import CachedAnswers
from core.contract.envelope import Envelope
from core.contract.etag import ConditionalRequests
from core.identity.auth import PUBLIC, USER
from core.identity.limits import Limit
from core.serving.cors import Cors
from core.serving.middleware import Middleware


def memory(seconds=60, largest=1000, size_of=len):
    """Return a memory of texts."""
    return Memory(seconds, largest, size_of, Generation())


def never():
    """Be what must not be asked for."""
    raise AssertionError("made again")


def failing():
    """Be what cannot be made."""
    raise ZeroDivisionError


def in_thread(work):
    """Run this in a thread; return its future."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future


# The memory


def test_what_was_made_is_given_again_until_its_time_is_over():
    cached = memory(seconds=1)
    assert cached.fetch("a", lambda: "one") == ("one", 0.0)

    again, age = cached.fetch("a", never)
    time.sleep(1.05)

    assert again == "one" and 0 <= age < 1
    assert cached.peek("a") is None
    assert cached.fetch("a", lambda: "two") == ("two", 0.0)


def test_the_time_counts_from_before_it_was_made():
    cached = memory()

    cached.fetch("a", lambda: time.sleep(0.1) or "one")

    assert cached.peek("a")[1] >= 0.1


def test_a_change_voids_what_was_made_before():
    cached = memory()
    cached.fetch("a", lambda: "one")

    cached._generation.advance()

    assert cached.peek("a") is None
    assert cached.fetch("a", lambda: "two")[0] == "two"


def test_what_was_begun_before_a_change_and_made_after_it_is_not_cached_beyond():
    cached = memory()
    reading, changed = threading.Event(), threading.Event()

    def read():
        reading.set()
        assert changed.wait(10)
        return "old"

    slow = in_thread(lambda: cached.fetch("a", read))
    assert reading.wait(10)
    cached._generation.advance()
    late = cached.fetch("a", lambda: "new")  # and does not wait for the other
    changed.set()

    assert late[0] == "new" and slow.result(10)[0] == "old"
    assert cached.fetch("a", lambda: "newer")[0] != "old"


def test_it_holds_no_more_than_its_bytes_and_the_oldest_leave_first():
    cached = memory(largest=1000)

    for n in range(100):
        cached.fetch(n, lambda: "x" * 300)

    assert cached._entries.currsize <= 1000
    assert [n for n in range(100) if cached.peek(n)] == [97, 98, 99]


def test_cached_rows_are_counted_with_their_texts(monkeypatch):
    monkeypatch.setattr(ours, "COUNTS_SIZE", 100_000)
    counts = Cache(answers_for=0, counts_for=60, largest=0).counts

    for n in range(10):
        counts.fetch(n, lambda: {"ids": "1," * 15_000})
    counts.fetch("rows", lambda: [{"ids": "1," * 15_000}, {"ids": None}])

    assert [n for n in range(10) if counts.peek(n)] == [8, 9] and counts.peek("rows")


def test_what_is_larger_than_all_of_it_is_given_and_not_cached():
    cached = memory(largest=1000)
    cached.fetch("small", lambda: "x")

    assert cached.fetch("large", lambda: "x" * 1001)[0] == "x" * 1001
    assert cached.peek("large") is None and cached.peek("small")


def test_looking_while_others_are_put_out_does_not_fail():
    cached = memory(largest=10, size_of=lambda thing: 10)
    stop = threading.Event()

    def fill():
        while not stop.is_set():
            for n in range(2):
                cached.fetch(n, lambda: "x")

    filling = in_thread(fill)
    try:
        for _ in range(100_000):
            cached.peek(0)
    finally:
        stop.set()
    filling.result(10)


class HastyKeys(dict):
    """Forgets a key as soon as somebody has seen that it is there, as another thread may."""

    def __contains__(self, key):
        return super().__contains__(key) and bool(self.pop(key))


def test_looking_is_one_step():
    cached = memory()
    cached._entries = HastyKeys({"a": (0, time.monotonic(), "one")})

    assert cached.peek("a")[0] == "one"
    assert cached.peek("b") is None


def all_wait_for_one(cached, make, count=8):
    """Ask `count` times at once for the same, whose first maker lasts until all others wait; return the futures."""
    begun, go_on = threading.Event(), threading.Event()

    def first():
        begun.set()
        assert go_on.wait(10)
        return make()

    futures = [in_thread(lambda: cached.fetch("a", first))]
    assert begun.wait(10)
    futures += [in_thread(lambda: cached.fetch("a", make)) for _ in range(count - 1)]
    future = next(iter(cached._making.values()))
    while future._condition and len(waiting_on(future)) < count - 1:
        time.sleep(0.001)
    go_on.set()
    return futures


def waiting_on(future):
    """Return who waits for a future."""
    return future._condition._waiters


def test_simultaneous_requests_make_it_once_and_hear_its_age():
    cached, made = memory(), []

    futures = all_wait_for_one(cached, lambda: made.append(1) or "one")

    assert [future.result(10)[0] for future in futures] == ["one"] * 8
    assert len(made) == 1
    assert all(future.result()[1] > 0 for future in futures[1:])


def test_one_that_fails_fails_alone():
    cached = memory()
    turn = iter([failing, *[lambda: "one"] * 7])
    lock = threading.Lock()

    def make():
        with lock:
            mine = next(turn)
        return mine()

    futures = all_wait_for_one(cached, make)

    with pytest.raises(ZeroDivisionError):
        futures[0].result(10)
    assert [future.result(10)[0] for future in futures[1:]] == ["one"] * 7
    assert not cached._making
    assert cached.fetch("a", lambda: "later")[0] == "later"  # of those who were disappointed, none is cached


def test_one_that_hangs_holds_up_the_others_for_a_while_only(monkeypatch):
    monkeypatch.setattr(ours, "FOLLOW_TIMEOUT", 0.1)
    cached, release = memory(), threading.Event()
    hanging = in_thread(lambda: cached.fetch("a", lambda: release.wait(20) and "late"))
    while not cached._making:
        time.sleep(0.001)

    assert cached.fetch("a", lambda: "mine")[0] == "mine"
    release.set()
    assert hanging.result(10)[0] == "late"


@pytest.mark.slow
def test_each_change_makes_another_number_however_many_come_at_once():
    """Processes and threads alike, and more than one number: a lock did to Linux what looks like a deadlock."""
    generations = [Generation() for _ in range(2)]

    def change(n):
        before = generations[n % 2].number
        generations[n % 2].advance()
        assert generations[n % 2].number != before

    def hammer():
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(change, range(6000)))

    assert ended({forked(hammer) for _ in range(4)}) == {0}


def test_a_change_in_one_process_is_seen_by_the_others():
    generation = Generation()
    before = generation.number

    ended({forked(generation.advance)})

    assert generation.number != before


# The routes


@pytest.fixture
def small():
    """A shop of a few routes that are cached, with how often each was asked: (client, asked, cache, app)."""
    app, asked, cache = new_app(), [], Cache(60, 60, 100_000)
    cached = {"auth": PUBLIC, "cache": Cached("things")}

    @app.get("/cookie", **cached)
    def cookie():
        asked.append("cookie")
        response.set_cookie("a", "b")

    @app.get("/twice", **cached)
    def twice():
        asked.append("twice")
        response.add_header("Link", "<a>")
        response.add_header("Link", "<b>")

    @app.get("/private", **cached)
    def private():
        asked.append("private")
        response.set_header("Cache-Control", "private, no-store")

    @app.get("/long", **cached)
    def long():
        asked.append("long")
        return "x" * 200_000

    @app.get("/plain", **cached)
    def plain():
        asked.append("plain")
        response.set_header("X-Long", "x" * 5000)

    for plugin in (ConditionalRequests(), CachedAnswers(cache), Envelope()):
        app.install(plugin)
    return TestApp(Middleware(app, Cors(()))), asked, cache, app


@pytest.mark.parametrize("path", ["/cookie", "/twice", "/private", "/long"])
def test_an_answer_that_is_not_for_everybody_or_not_of_one_piece_is_made_each_time(small, path):
    client, asked, _, _ = small

    first, second = client.get(path), client.get(path)

    assert len(asked) == 2
    assert first.headers.getall("Link") == second.headers.getall("Link") if path == "/twice" else True
    assert ("Set-Cookie" in second.headers) == (path == "/cookie")


def test_an_answer_is_counted_with_all_that_it_takes(small):
    client, asked, cache, _ = small

    for n in range(200):
        client.get(f"/plain?{'y' * 1000}{n}")

    answers = list(cache.answers._entries.values())
    assert len(asked) == 200
    assert 0 < len(answers) <= 100_000 // (5000 + 1000)


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("POST", {"auth": PUBLIC}),
        ("GET", {"auth": USER}),
        ("GET", {"auth": PUBLIC, "limit": Limit("things", "1/minute")}),
    ],
)
def test_what_is_not_for_everybody_without_a_limit_cannot_be_declared_as_cached(method, route):
    app = new_app()
    app.route("/things", method, lambda: None, cache=Cached("things"), **route)

    with pytest.raises(LookupError, match="/things"):
        app.install(CachedAnswers(Cache(60, 60, 1000)))


# Real servers of two workers, which cache everything for an hour unless it is voided

ROOT = {"username": "keeper", "email": "keeper@example.com", "password": "Correct-Horse-7"}


@pytest.fixture(scope="module")
def two_workers(accounts, tmp_path_factory):
    """A real server."""
    with servers(tmp_path_factory.mktemp("cache")) as start:
        url = as_url(accounts.application)
        yield start(
            "--workers",
            "2",
            "--threads",
            "4",
            DATABASE_URL=url,
            CACHE_TTL="3600",
            COUNT_CACHE_TTL="3600",
            RATE_LIMITS="off",
        )


@pytest.fixture
def boss(two_workers, sql):
    """The server, with empty tables and nothing cached, and an administrator's headers."""
    two_workers.request("/api/users/register", "POST", ROOT)
    sql("UPDATE users SET role = 'admin'")
    login = {name: ROOT[name] for name in ("username", "password")}
    token = two_workers.request("/api/users/login", "POST", login).json["data"]["token"]
    root = {"Authorization": f"Bearer {token}"}
    void(two_workers, root)
    return two_workers, root


def void(real, root):
    """Void all that is cached, by a write through the API."""
    made = real.request("/api/categories", "POST", {"name": "Passing"}, **root).json["data"]["id"]
    assert real.request(f"/api/categories/{made}", "DELETE", **root).status == 200


class Line:
    """A connection that is cached."""

    def __init__(self, real):
        self._connection = http.client.HTTPConnection("127.0.0.1", real.port, timeout=20)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path, **headers):
        """Ask."""
        self._connection.request("GET", path, headers={n.replace("_", "-"): v for n, v in headers.items()})
        found = self._connection.getresponse()
        return Answer(found.status, found.headers, found.read())

    def worker(self, real):
        """Return the id of the process at the other end."""
        here = self._connection.sock.getsockname()[1]
        wanted = f":{real.port:04X}", f":{here:04X}"
        lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()]
        inode = next(line[9] for line in lines if line[1].endswith(wanted[0]) and line[2].endswith(wanted[1]))
        children = pathlib.Path(f"/proc/{real.process.pid}/task/{real.process.pid}/children").read_text().split()
        for child in children:
            for link in pathlib.Path(f"/proc/{child}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(link) == f"socket:[{inode}]":
                        return child
        return None

    def close(self):
        """Hang up."""
        self._connection.close()


@pytest.fixture
def lines(two_workers):
    """Six connections, three to each worker."""
    opened = {}
    while sum(min(3, len(found)) for found in opened.values()) < 6:
        line = Line(two_workers)
        line.get("/api/health")  # accepted
        opened.setdefault(line.worker(two_workers), []).append(line)
    chosen = [line for found in opened.values() for line in found[:3]]
    assert len(opened) == 2 and None not in opened
    yield chosen
    for found in opened.values():
        for line in found:
            line.close()


def table(rows):
    """Return CSV."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


class Writes:
    """Ways to write, each a number that goes up with each write, and where a reader sees it."""

    def __init__(self, real, root, make):
        self.line = http.client.HTTPConnection("127.0.0.1", real.port, timeout=20)
        self.root = root
        self.category = make.category("Writes 0")
        self.id = make.product(stock=0, price="1.00", category_id=self.category)
        self.spare = make.products(60)
        self.empty = [make.category(f"Empty {n}") for n in range(60)]

    def send(self, method, path, body, kind="application/json"):
        """Write; return the answer's data."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.line.request(method, path, data, {**self.root, "Content-Type": kind})
        answer = self.line.getresponse()
        found = json.loads(answer.read())
        assert answer.status in (200, 201), found
        return found["data"]

    def path(self):
        """Return the path of the product."""
        return f"/api/products/{self.id}"

    def stock(self, n):
        """Put one into stock."""
        self.send("POST", f"{self.path()}/stock", {"change": 1})

    def change(self, n):
        """Change a product."""
        self.send("PUT", self.path(), {"stock_quantity": n})

    def take_in(self, n):
        """Import a table."""
        rows = table([["id", "stock_quantity"], [self.id, n]])
        self.send("POST", "/api/products/import", rows, "text/csv")

    def create(self, n):
        """Create a product."""
        self.send("POST", "/api/products", NEW)

    def withdraw(self, n):
        """Withdraw a product."""
        self.send("DELETE", f"/api/products/{self.spare[n]}", {})

    def name(self, n):
        """Change a category."""
        self.send("PUT", f"/api/categories/{self.category}", {"name": f"Writes {n}"})

    def add(self, n):
        """Create a category."""
        self.send("POST", "/api/categories", {"name": f"New {n}"})

    def remove(self, n):
        """Delete a category."""
        self.send("DELETE", f"/api/categories/{self.empty[n]}", {})


def of_stock(answer):
    """Return the stock of a product."""
    return answer.json["data"]["stock_quantity"]


def total(answer):
    """Return how many products there are."""
    return answer.json["data"]["pagination"]["total"]


def by_name(answer):
    """Return the number in the name of the only category that has one, as a product shows it."""
    return int(answer.json["data"]["category_name"].split()[1])


def count(answer):
    """Return how many categories there are."""
    return len(answer.json["data"])


def on_sale(answer):
    """Return the stock of the product in a list."""
    return max(item["stock_quantity"] for item in answer.json["data"]["items"])


RACES = {  # who writes → where a reader looks, what is seen there, and whether that goes up or down
    "a change of stock": (Writes.stock, "/api/products/{id}", of_stock, 1),
    "a change of stock, in a list": (Writes.stock, "/api/products?sort=oldest&per_page=1", on_sale, 1),
    "a change": (Writes.change, "/api/products/{id}", of_stock, 1),
    "an import": (Writes.take_in, "/api/products/{id}", of_stock, 1),
    "a new product": (Writes.create, "/api/products?per_page=1", total, 1),
    "a withdrawal": (Writes.withdraw, "/api/products?per_page=1&in_stock=true", total, -1),
    "a change of a category": (Writes.name, "/api/products/{id}", by_name, 1),
    "a new category": (Writes.add, "/api/categories", count, 1),
    "a category that goes": (Writes.remove, "/api/categories", count, -1),
}


@pytest.mark.slow
@pytest.mark.parametrize("race", RACES)
def test_who_asks_after_a_write_sees_it_on_every_connection_to_every_worker(boss, make, lines, race):
    write, path, seen, direction = RACES[race]
    writes = Writes(*boss, make)
    void(*boss)
    path = path.format(id=writes.id)
    written = [seen(lines[0].get(path))]
    stop, reads = threading.Event(), []

    def read(line):
        while not stop.is_set():
            least = written[-1]
            found = seen(line.get(path))
            assert (found - least) * direction >= 0, f"{found} after {least} was written"
            reads.append(found)

    with ThreadPoolExecutor(len(lines)) as pool:
        readers = [pool.submit(read, line) for line in lines]
        try:
            for n in range(1, 41):
                write(writes, n)
                written.append(written[-1] + direction)
                time.sleep(0.002 * (n % 3))
        finally:
            stop.set()
    for reader in readers:
        reader.result()
    writes.line.close()

    assert len(reads) > 40
    assert {seen(line.get(path)) for line in lines} == {written[-1]}


def ages(lines, path):
    """Return the Age that each connection is told; None where it is not from memory."""
    return [line.get(path).headers["Age"] for line in lines]


def test_what_is_rolled_back_or_rehearsed_neither_shows_nor_voids_anything(boss, make, lines):
    real, root = boss
    id = make.product(stock=3, category_id=make.category("Full"))
    paths = [f"/api/products/{id}", "/api/products", "/api/categories"]
    before = {path: [line.get(path).body for line in lines] for path in paths}
    time.sleep(1.05)

    rehearsed = Writes.send
    writer = Writes.__new__(Writes)
    writer.line, writer.root = http.client.HTTPConnection("127.0.0.1", real.port, timeout=20), root
    rows = table([["id", "name", "price"], [id, "Other", "5.00"], ["", "New", "6.00"]])
    done = rehearsed(writer, "POST", "/api/products/import?dry_run=true", rows, "text/csv")
    writer.line.close()
    refused = [
        real.request(f"/api/products/{id}/stock", "POST", {"change": -4}, **root).status,
        real.request("/api/categories", "POST", {"name": "full"}, **root).status,
        real.request(f"/api/products/{id}", "PUT", {"name": "x"}, If_Match='"other"', **root).status,
    ]

    assert done["created"] == done["updated"] == 1
    assert refused == [409, 409, 412]
    for path in paths:
        assert all(int(age) >= 1 for age in ages(lines, path)), path  # None: made again
        assert [line.get(path).body for line in lines] == before[path]


def test_only_who_sends_no_login_and_no_cookie_is_answered_from_memory(boss, make, lines):
    _, root = boss
    path = f"/api/products/{make.product()}"
    for line in lines:
        line.get(path)

    for headers in (
        root,
        {"authorization": "Bearer nonsense"},
        {"AUTHORIZATION": ""},
        {"Cookie": "a=b"},
        {"cookie": ""},
    ):
        assert [line.get(path, **headers).headers["Age"] for line in lines] == [None] * 6

    assert None not in ages(lines, path)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION", "aUthorization"])
def test_what_an_administrator_sees_is_shown_to_nobody_else(boss, make, lines, name):
    _, root = boss
    path = f"/api/products/{make.product(is_active=0)}"

    seen = [(line.get(path, **{name: root["Authorization"]}), line.get(path)) for line in lines for _ in range(2)]

    for shown, hidden in seen:
        assert (shown.status, shown.headers["Cache-Control"]) == (200, "private, no-store")
        assert hidden.status == 404
    assert {line.get(path, **root, Cookie="a=b").status for line in lines} == {200}


def test_errors_are_not_cached(boss, make, lines, sql):
    id = make.product() + 1
    paths = [f"/api/products/{id}", "/api/products?page=0", "/api/categories/999999"]

    before = [[line.get(path) for line in lines] for path in paths]
    make.product()  # by hand, which voids nothing

    assert [{answer.status for answer in answers} for answers in before] == [{404}, {400}, {404}]
    for answers in before:
        assert {(answer.headers["Age"], answer.headers["Cache-Control"]) for answer in answers} == {(None, "no-store")}
    assert {line.get(paths[0]).status for line in lines} == {200}


def test_carts_accounts_and_admin_answers_are_not_cached(boss, lines):
    _, root = boss
    paths = ["/api/users/me", "/api/audit", "/api/products/export", "/api/cart", "/api/cart/visitor"]

    answers = [line.get(path, Session_ID="visitor", **root) for path in paths for line in lines]

    assert {answer.status for answer in answers} == {200}
    assert {(answer.headers["Age"], answer.headers["Cache-Control"]) for answer in answers} == {(None, "no-store")}


def test_of_simultaneous_requests_for_one_page_one_asks_the_database(two_workers, boss, make, sql):
    make.products(30)
    path = "/api/products?per_page=100&sort=name"

    def selects():
        return int(sql("SHOW GLOBAL STATUS LIKE 'Com_select'")[0]["Value"])

    noise = -selects() + selects()
    before = selects()
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: two_workers.request(path), range(60)))
    asked = selects() - before - noise

    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert asked <= 2 * 4  # for each worker the total and the page, and what a new connection asks


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ttl", "totals", "seen"), [("0", "0", (2, 2)), ("0", "3600", (2, 1)), ("1", "1", (1, 1))], ids=str
)
def test_how_long_is_a_setting_and_0_caches_nothing(start, accounts, make, sql, ttl, totals, seen):
    url = as_url(accounts.application)
    real = start("--workers", "1", "--threads", "2", DATABASE_URL=url, CACHE_TTL=ttl, COUNT_CACHE_TTL=totals)
    make.product()
    first = real.request("/api/products")

    make.product()  # by hand
    second = real.request("/api/products")
    time.sleep(1.1)
    later = real.request("/api/products")

    items = (len(second.json["data"]["items"]), total(second))
    assert items == seen
    assert ("Age" in first.headers) == (ttl != "0")
    assert len(later.json["data"]["items"]) == 2
    assert total(later) == (1 if totals == "3600" else 2)


def test_few_wait_for_an_answer_that_is_being_made_and_the_others_do_not_wait():
    memory = Memory(60, 1000, lambda thing: 1, Generation(), followers=1)
    began, done = threading.Event(), threading.Event()

    def slow():
        began.set()
        done.wait(20)
        return "slow"

    maker = threading.Thread(target=memory.fetch, args=("key", slow))
    maker.start()
    began.wait(10)
    followed = []
    follower = threading.Thread(target=lambda: followed.append(memory.fetch("key", lambda: "its own")[0]))
    follower.start()
    assert eventually(lambda: memory._following._value == 0)  # it has the one place
    third = memory.fetch("key", lambda: "its own")[0]
    done.set()
    maker.join(10)
    follower.join(10)

    assert third == "its own"
    assert followed == ["slow"]
