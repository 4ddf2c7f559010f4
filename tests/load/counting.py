"""What does it cost a request to be counted, for GET /metrics and `server.py top`? Its CPU, with counting and without.

    .venv/bin/python tests/load/counting.py [--rounds 100] [--requests 50]

Starts a MariaDB of its own, and a worker of the shop in a process of its own, with sockets and threads as they are.
Each round asks every kind of request while the worker counts, and as often while the functions that count do nothing,
in turns. Compared is CPU time, which other work on the machine disturbs little. It prints for each kind the medians of
the rounds: the worker's, the database's, and what counting adds to both. The exit status is 1 where that is over 3 %.
"""

import argparse
import http.client
import multiprocessing
import pathlib
import socket
import statistics
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "faults"), str(TESTS / "load")]

from helpers import SECRET  # noqa: E402 - after the path
from soak import prepare  # noqa: E402

import server  # noqa: E402
from core import config, logs, metrics  # noqa: E402
from core.db.statement_times import StatementTimes  # noqa: E402
from core.metrics import Counter, Gauge, Histogram  # noqa: E402
from core.metrics_file import File  # noqa: E402
from core.serving.server import Server  # noqa: E402

MOST = 0.03  # of a request's CPU
WARM = 10  # requests before each measurement
SESSION = {"Session-ID": "counting"}
PAST = {"Cookie": "a=b"}  # such a request is never answered from memory
ADDED = {**SESSION, "Content-Type": "application/json"}
KINDS = {  # method, path, body, headers; {0} stands for the id of a product
    "a product, from memory": ("GET", "/api/products/{0}", None, {}),
    "a product": ("GET", "/api/products/{0}", None, PAST),
    "categories": ("GET", "/api/categories", None, PAST),
    "a list": ("GET", "/api/products", None, PAST),
    "a cart": ("GET", "/api/cart", None, SESSION),
    "adding to a cart": ("POST", "/api/cart/items", '{{"product_id": {0}, "quantity": 1}}', ADDED),
}


def nothing(*_, **__):
    """Take what any function that counts takes."""


class Switch:
    """Turns counting off, and on again."""

    def __init__(self):
        named = {Counter: ("add",), Gauge: ("add", "set"), StatementTimes: ("add",), Histogram: ("observe",)}
        self._functions = {(kind, name): getattr(kind, name) for kind, names in named.items() for name in names}
        self._bound = Histogram.bound

    def turn(self, on):
        """Turn it on, or off."""
        for (kind, name), function in self._functions.items():
            setattr(kind, name, function if on else nothing)
        Histogram.bound = self._bound if on else lambda *_: nothing


def work(url, port, pipe):
    """Be the worker: turn counting on or off as the pipe says, and tell the CPU time of this process in ns."""
    logs.configure("error")
    metrics.use(File(None, 1))
    given = {"SECRET_KEY": SECRET, "CACHE_TTL": "3600", "RATE_LIMITS": "off", "SERVER_TIMING": "off"}
    application = server.shop(config.load(given), url, counts=metrics.here.file)
    serving = Server(application, socket.create_server(("127.0.0.1", port)), 8)
    threading.Thread(target=serving.run, daemon=True).start()
    switch = Switch()
    while (on := pipe.recv()) is not None:
        if on not in (True, False):
            pipe.send(time.process_time_ns())
            continue
        switch.turn(on)
        application.responder._memory._entries.clear()  # an answer in memory has what counts it with it
        pipe.send(None)


def told(pipe, what):
    """Return what the worker answers."""
    pipe.send(what)
    return pipe.recv()


def ask(connection, kind, product, times):
    """Send a request, again and again."""
    method, path, body, headers = KINDS[kind]
    for _ in range(times):
        connection.request(method, path.format(product), body and body.format(product), headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status not in (200, 201):
            sys.exit(f"{kind}: {answer.status} {data.decode()}")


def of_database(pid):
    """Return the ns of CPU that the threads of a process have had."""
    return sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))


def measure(pipe, connection, product, database, requests, rounds):
    """Return the µs of CPU of each round, {kind: [(counting, not counting, of the database)]}."""
    found = {kind: [] for kind in KINDS}
    for number in range(rounds):
        for kind, pairs in found.items():
            spent = {}
            for on in (True, False) if number % 2 else (False, True):
                told(pipe, on)
                ask(connection, kind, product, WARM)
                before, asked = told(pipe, "time"), of_database(database)
                ask(connection, kind, product, requests)
                spent[on] = (told(pipe, "time") - before) / requests / 1000
                asked = (of_database(database) - asked) / requests / 1000
            pairs.append((spent[True], spent[False], asked))
    return found


def judged(found):
    """Print a line for each kind; return those of which counting takes too much."""
    over = []
    for kind, pairs in found.items():
        counting, without, database = (statistics.median(column) for column in zip(*pairs, strict=True))
        share = statistics.median((one - other) / (other + asked) for one, other, asked in pairs)
        print(f"{kind:24} {counting:6.1f} µs counting, {without:6.1f} without; database {database:6.1f}: {share:+.1%}")
        if share > MOST:
            over.append(kind)
    return over


def main():
    """Run all rounds and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--requests", type=int, default=50, help="of each kind in a round, with counting and without")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bodega-counting-") as folder:
        database, products = prepare(pathlib.Path(folder))
        here, there = multiprocessing.Pipe()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        worker = multiprocessing.Process(target=work, args=(database.application, port, there), daemon=True)
        try:
            worker.start()
            told(here, True)  # from then on it listens
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            over = judged(
                measure(here, connection, products[0], database.process.pid, options.requests, options.rounds)
            )
        finally:
            worker.kill()
            worker.join()
            database.stop()
    print(f"Over {MOST:.0%}: {', '.join(over)}." if over else f"Counting takes {MOST:.0%} at the most.")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
