"""`server.py top`, beside real servers: what it shows, and that it is right whatever happens to their processes."""

import contextlib
import json
import mmap
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import LONG, as_url, both_workers, command, environment, eventually, is_one_sentence, workers

from core import database_url
from core.db import drivers
from core.db import statement_totals as form
from core.setup.system import ROOT


@pytest.fixture
def home(tmp_path, accounts):
    """The settings of a server and of the commands beside it: DATA_DIR is a folder of its own."""
    return {
        "DATA_DIR": str(tmp_path / "data"),
        "DATABASE_URL": as_url(accounts.application),
        "CACHE_TTL": "0",
        "COUNT_CACHE_TTL": "0",
    }


@pytest.fixture
def shop(start, home, make):
    """A server with two workers, and a product."""
    make.product("Tea", price="3.00")
    return start("--workers", "2", "--threads", "4", **home)


def top(home, *words):
    """Return what `server.py top` prints."""
    done = command("top", *words, **home)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def counted(home):
    """Return {statement: what JSON says of it}."""
    return {found["statement"]: found for found in json.loads(top(home, "--json"))["statements"]}


def test_json_has_every_call_of_all_workers(shop, home):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: shop.request("/api/products/1" if n % 2 else "/api/categories"), range(200)))

    found = counted(home)
    assert {answer.status for answer in answers} <= {200, 404}
    assert found["products/get"]["calls"] == 100
    assert found["products/get"]["errors"] == 0
    assert 0 < found["products/get"]["p50_ms"] <= found["products/get"]["p95_ms"] <= found["products/get"]["max_ms"]
    assert sum(one["share"] for one in found.values()) == pytest.approx(1, abs=0.01)
    assert sum(one["minute"]["share"] for one in found.values()) == pytest.approx(1, abs=0.01)
    assert found["products/get"]["minute"]["calls"] == 100


def test_a_write_shows_its_statements_and_commit(shop, home, sql):
    (product,) = sql("SELECT id FROM products")
    line = {"product_id": product["id"], "quantity": 1}
    for _ in range(3):
        assert shop.request("/api/cart/items", "POST", line, Session_ID="mine").status == 201

    found = counted(home)
    assert found["COMMIT"]["calls"] == 3
    assert found["cart/add"]["calls"] == found["cart/show"]["calls"] == 3


def test_the_table_is_plain_text_where_the_output_is_no_terminal(shop, home):
    for _ in range(20):
        shop.request("/api/products/1")

    said = top(home)

    summary, heading, first, *_ = said.splitlines()
    assert re.fullmatch(
        r"\d+ calls, \d+\.\d s of the database since .*; \d+ calls, \d+\.\d s in the last \d+ s", summary
    )
    assert heading.split()[:3] == ["statement", "minute", "calls"]
    assert re.fullmatch(r"\w+/\w+  +[\d.]+%  +\d+  +[\d.]+%  +\d+  +[\d.]+  +[\d.]+  +[\d.]+  +\d+  +\d+", first)
    assert "\x1b" not in said
    assert top(home, "--once").splitlines()[1:3] == [heading, first]


@pytest.mark.parametrize("sort", ["minute", "time", "calls", "rows", "errors", "p50", "p95", "max", "name"])
def test_every_order_is_kept(shop, home, sort):
    for n in range(30):
        shop.request(f"/api/products?page={n % 2 + 1}")
        shop.request("/api/categories")

    found = json.loads(top(home, "--json", "--sort", sort))["statements"]

    of = {
        "minute": lambda one: -one["minute"]["ms"],
        "time": lambda one: -one["ms"],
        "calls": lambda one: -one["calls"],
        "rows": lambda one: -one["rows"],
        "errors": lambda one: -one["errors"],
        "p50": lambda one: -one["p50_ms"],
        "p95": lambda one: -one["p95_ms"],
        "max": lambda one: -one["max_ms"],
        "name": lambda one: one["statement"],
    }[sort]
    assert len(found) > 2
    assert list(map(of, found)) == sorted(map(of, found))


@pytest.mark.slow
def test_the_supervisor_notes_every_ten_seconds_how_things_stand(shop, home):
    """So that the last minute can be told from what was before it."""
    (name,) = os.listdir(home["DATA_DIR"])
    with (
        open(os.path.join(home["DATA_DIR"], name), "rb") as file,
        contextlib.closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as mapped,
    ):

        def samples():
            with memoryview(mapped) as data, data.cast("Q") as words:
                places = (form.SAMPLES_AT + number * form.SAMPLE for number in range(form.SAMPLES))
                return sum(words[at] > 0 for at in places)

        assert samples() == 1
        assert eventually(lambda: samples() == 2, 20)


@pytest.mark.slow
def test_no_counter_decreases_while_workers_are_killed_and_replaced(shop, home):
    """Kills and rolling restarts in turn, while requests go on; at the end all answered requests are there."""
    answered, seen = 0, []
    for turn in range(6):
        both_workers(shop)
        for _ in range(40):
            with contextlib.suppress(OSError):  # a worker that was killed
                answered += shop.request("/api/products/1").status == 404
        seen.append(counted(home)["products/get"]["calls"])
        if turn % 2:
            before = workers(shop)
            shop.process.send_signal(signal.SIGHUP)
            assert eventually(lambda before=before: len(workers(shop) - before) == 2 and len(workers(shop)) == 2, 30)
        else:
            os.kill(min(workers(shop)), signal.SIGKILL)

    assert seen == sorted(seen)
    assert seen[-1] >= answered
    assert len(os.listdir(home["DATA_DIR"])) == 1


def test_the_chores_are_counted_too(start, home, sql):
    start("--workers", "1", "--threads", "2", CHORES="on", **home)

    assert eventually(lambda: "outbox/heads" in counted(home), 30)


def test_the_process_of_the_chores_by_itself_is_shown_beside_the_server(shop, home):
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "server.py"), "chores"], env=environment(**home), stderr=subprocess.DEVNULL
    )
    try:
        assert eventually(lambda: "outbox/heads" in counted(home), 30)
        assert len(os.listdir(home["DATA_DIR"])) == 2
    finally:
        process.terminate()
        assert process.wait(LONG) == 0

    assert len(os.listdir(home["DATA_DIR"])) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_leaves_no_file(shop, home, number):
    assert len(os.listdir(home["DATA_DIR"])) == 1

    shop.process.send_signal(number)

    assert shop.process.wait(LONG) == 0
    assert os.listdir(home["DATA_DIR"]) == []


def test_a_server_that_was_killed_is_not_shown_and_the_next_start_removes_its_file(shop, start, home):
    shop.request("/api/products/1")
    shop.process.kill()
    shop.process.wait()
    (left,) = os.listdir(home["DATA_DIR"])

    assert command("top", **home).returncode == 1
    start("--workers", "1", "--threads", "2", **home)

    (found,) = os.listdir(home["DATA_DIR"])
    assert found != left
    assert "products/get" not in counted(home)


def test_with_the_private_database_the_file_stands_in_its_folder(start, tmp_path):
    home = {"DATA_DIR": str(tmp_path / "data")}
    real = start("--workers", "1", **home)
    real.request("/api/products/2")

    assert counted(home)["products/get"]["rows"] == 1
    assert real.stop() == 0
    assert not list((tmp_path / "data").rglob("counters-*"))


def test_without_a_server_it_says_so_in_a_sentence(home):
    done = command("top", **home)

    assert (done.returncode, done.stdout) == (1, "")
    assert is_one_sentence(done.stderr)
    assert "No server runs with DATA_DIR" in done.stderr


@pytest.mark.parametrize("every", ["0", "5000", "soon", "nan"])
def test_a_wrong_interval_is_refused(home, every):
    done = command("top", "--every", every, **home)

    assert done.returncode == 2
    assert is_one_sentence(done.stderr)


class Terminal:
    """`server.py top` on a terminal."""

    def __init__(self, home, *words):
        self.end, far = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "server.py"), "top", *words],
            env=environment(**home),
            stdin=far,
            stdout=far,
            stderr=far,
        )
        os.close(far)

    def wait_for(self, pattern, seconds=20):
        """Read until a pattern comes up in what was said since the last call; return that."""
        deadline, said = time.monotonic() + seconds, ""
        while not re.search(pattern, said, re.S):
            assert time.monotonic() < deadline, said
            if select.select([self.end], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):  # it has ended
                    said += os.read(self.end, 65536).decode(errors="replace")
        return said

    def press(self, key):
        """Type a key."""
        os.write(self.end, key.encode())


@pytest.fixture
def terminal(home):
    """`terminal(*words)`: a Terminal, ended with the test."""
    opened = []

    def run(*words):
        opened.append(Terminal(home, *words))
        return opened[-1]

    yield run
    for one in opened:
        one.process.kill()
        one.process.wait()
        os.close(one.end)


def test_on_a_terminal_it_is_live_and_a_key_changes_the_order(shop, home, terminal):
    for _ in range(3):
        shop.request("/api/products/1")
    for _ in range(9):
        shop.request("/api/categories")

    screen = terminal("--every", "0.2")
    screen.wait_for(r"\x1b\[\?1049h.*since.*products/get +[\d.]+% +3 +[\d.]+% +3 ")
    shop.request("/api/products/1")
    screen.wait_for(r"products/get +[\d.]+% +4 +[\d.]+% +4 ")
    screen.press("n")
    screen.wait_for(r"statement[^\r]*\r\ncategories/.*\r\nproducts/get .*\x1b\[J")
    screen.press("c")
    screen.wait_for(r"statement[^\r]*\r\ncategories/\w+ +[\d.]+% +9 ")
    screen.press("e")
    screen.press("m")
    screen.press("q")
    screen.wait_for(r"\x1b\[\?1049l")

    assert screen.process.wait(LONG) == 0


def test_on_a_terminal_it_ends_with_the_server_in_a_sentence(shop, terminal):
    screen = terminal("--every", "0.2")
    screen.wait_for(r"statement")

    shop.stop()

    screen.wait_for(r"\x1b\[\?1049l.*No server runs with DATA_DIR")
    assert screen.process.wait(LONG) == 1


# Slow statements, and whose they are


def test_a_slow_statement_is_a_line_in_the_log_with_file_request_and_route(start, home, make):
    make.product("Tea")
    real = start("--workers", "1", "--threads", "2", SLOW_SQL="0.1ms", **home)
    for page in range(1, 40):
        real.request(f"/api/products?page={page}&sort=price", X_Request_ID="a-slow-one")

    line = real.wait_for(r".*event=slow_sql.*request_id=a-slow-one").group(0)
    assert re.search(r"level=warning .* method=GET file=sql/\w+/\w+\.sql ms=[\d.]+ rows=\d+ route=/api/products ", line)


def test_without_slow_sql_no_statement_is_slow(start, home):
    real = start("--workers", "1", "--threads", "2", SLOW_SQL="0", **home)
    for _ in range(30):
        real.request("/api/products")

    assert "slow_sql" not in real.log


@pytest.mark.parametrize("id", ["x*/ DROP TABLE users; /*", "*/", "a" * 129, "%s", "a%20b"])
def test_a_hostile_request_id_gets_into_no_statement(start, home, sql, make, id):
    """What the server was asked stands in the process list while a statement waits for a lock."""
    real = start("--workers", "1", "--threads", "2", **home)
    tea = make.product()
    with ThreadPoolExecutor(1) as pool:
        with locked(home, tea):
            line = {"product_id": tea, "quantity": 1}
            asked = pool.submit(real.request, "/api/cart/items", "POST", line, X_Request_ID=id, Session_ID="mine")
            texts = []

            def seen():
                rows = sql("SELECT info FROM information_schema.processlist WHERE info LIKE '/* cart/%%'")
                texts.extend(row["info"] for row in rows)
                return bool(texts)

            assert eventually(seen)
        assert asked.result().status == 201

    assert re.match(r"/\* cart/\w+ request=[0-9a-f]{16} \*/ ", texts[0])


@contextlib.contextmanager
def locked(home, product):
    """Lock a product's row meanwhile."""
    connection = drivers.connect(database_url.parse(home["DATABASE_URL"]), 10)
    try:
        connection.begin()
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM products WHERE id = %s FOR UPDATE", (product,))
        yield
    finally:
        connection.close()
