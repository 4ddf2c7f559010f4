"""Do many connections slow a shop down? Answers a second of 512 against 64, and of 16 beside 700 that rest.

    .venv/bin/python tests/load/connections.py [--rounds 5] [--seconds 2]

Starts a MariaDB and a shop of its own (two workers), and drives it with `wrk`, in turns. It prints the medians of the
rounds' ratios: answers a second (no success counts as none), and the shop's processor time for each, which other work
on the machine disturbs less. The exit status is 1 where 512 connections, or 700 that rest, leave less than 0.9 of the
answers, and take more than 1 / 0.9 of the time each.
"""

import argparse
import contextlib
import pathlib
import shutil
import socket
import statistics
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "faults"), str(TESTS / "load")]

from costs import had, more, sent  # noqa: E402 - after the path
from helpers import as_url, servers, workers  # noqa: E402
from soak import prepare  # noqa: E402

FEW, MANY, SOME, RESTING = 64, 512, 16, 700
LEAST = 0.9
RESTS = 5000  # µs of processor time in 0.1 s
KINDS = {  # path, headers
    "a product, from memory": ("/api/products/{0}", ""),
    "health": ("/api/health", ""),
    "a product": ("/api/products/{0}", "Cookie: a=b\r\n"),
    "a cart": ("/api/cart", "Session-ID: connections\r\n"),
}


@contextlib.contextmanager
def resting(port, count):
    """Hold so many connections, each of which has been answered once."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            connection.sendall(b"GET /api/health HTTP/1.1\r\nHost: shop\r\n\r\n")
            connection.recv(4096)
        yield


def at_rest(shop):
    """Wait until the shop has done what was sent to it: `wrk` leaves without waiting for the last answers."""
    spent = had(*workers(shop))
    while True:
        time.sleep(0.1)
        before, spent = spent, had(*workers(shop))
        if more(spent, before) < RESTS:
            return


def driven(wrk, shop, file, connections, seconds, rest=0):
    """Return answers a second, and the µs of the shop's processor time for each."""
    at_rest(shop)
    with resting(shop.port, rest):
        before = had(*workers(shop))
        told = sent(wrk, shop, file, connections, seconds)
        spent = more(had(*workers(shop)), before)
    good = told["answers"] - told["errors"]
    return good / told["seconds"], spent / max(1, told["answers"])


def measure(wrk, shop, folder, product, options):
    """Return {(kind, what): [(rate, µs) by rates and times of fewer connections, of each round]}."""
    found = {}
    for number in range(options.rounds):
        for kind, (path, headers) in KINDS.items():
            file = folder / "requests"
            request = f"GET {path.format(product)} HTTP/1.1\r\nHost: shop\r\n{headers}\r\n"
            file.write_bytes(request.encode() + b"\1")
            ways = {"few": (FEW, 0), "many": (MANY, 0), "some": (SOME, 0), "resting": (SOME, RESTING)}
            order = list(ways)[:: 1 if number % 2 else -1]
            took = {way: driven(wrk, shop, file, ways[way][0], options.seconds, ways[way][1]) for way in order}
            for what, fewer in (("many", "few"), ("resting", "some")):
                rates, times = zip(took[what], took[fewer], strict=True)
                found.setdefault((kind, what), []).append((rates[0] / rates[1], times[0] / times[1]))
    return found


def judged(found):
    """Print a line for each; return those that are slowed down."""
    slow = []
    names = {"many": f"{MANY} connections against {FEW}", "resting": f"{SOME} beside {RESTING} that rest, and alone"}
    for (kind, what), rounds in found.items():
        rate, time = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{kind:24} {names[what]:36} answers {rate:.2f} times, each {time:.2f} times the processor")
        if rate < LEAST and time > 1 / LEAST:
            slow.append(kind)
    return slow


def main():
    """Run all rounds and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    wrk = shutil.which("wrk") or sys.exit("wrk is missing. Install it: sudo apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="bodega-connections-") as name, servers(pathlib.Path(name)) as start:
        database, products = prepare(pathlib.Path(name))
        try:
            settings = {"RATE_LIMITS": "off", "LOG_LEVEL": "warning"}
            shop = start("--workers", "2", DATABASE_URL=as_url(database.application), **settings)
            slow = judged(measure(wrk, shop, pathlib.Path(name), products[0], options))
        finally:
            shop.stop()
            database.stop()
    print(f"Slowed down: {', '.join(slow)}." if slow else "Connections cost next to nothing.")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
