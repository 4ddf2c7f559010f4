"""Does a shop stay what it is for an hour? Its memory, descriptors and slowest requests, at half of what it can serve.

    .venv/bin/python tests/load/soak.py [--minutes 60] [--rate 150]

Starts a MariaDB and a shop of its own (two workers, chores, 500 seeded products, limits off), asks it as fast as it can
for ten seconds, then lets shoppers in at half that rate, or at --rate: lists, products, carts, orders, payments, see
tests/faults/load.py. Every ten seconds it writes down what the shop's processes hold. At the end it compares the last
ten minutes with the first ten (of a shorter run: the last quarter with the first), audits every write that was
acknowledged, and looks whether the data is sound. The exit status is 1 where

- memory (of all processes of the shop) has grown or shrunk by more than 5 % since the end of the first part,
- there is a descriptor more than at the beginning,
- p99 of the last part is more than 1.2 times the first's, or
- a request failed, or a promise was not kept.

Run it with nothing else on the machine.
"""

import argparse
import functools
import pathlib
import statistics
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "faults")]

from helpers import as_url, command, execute, require_sound_data, servers  # noqa: E402 - after the path
from load import shopping  # noqa: E402
from mortal import Database  # noqa: E402
from trouble import vitals  # noqa: E402

from core.db.migrator import Migrator  # noqa: E402
from core.db.owner import give_rights  # noqa: E402
from core.db.statements import Statements  # noqa: E402
from core.setup.system import ROOT  # noqa: E402

EVERY = 10  # seconds between two looks
TOLD = 30  # looks, the last of which is printed
CAPACITY = 10  # seconds of asking as fast as it can
PART = 600  # seconds that are compared with as many
SEEDING = 1800  # seconds, of a busy machine
MEMORY, SLOWER = 0.05, 1.2


def prepare(folder, products=500, *options):
    """Return a database that runs, with products of which there are plenty, and their ids."""
    database = Database(folder)
    database.start(*options)
    Migrator(database.owner, say=lambda line: None).up()
    give_rights(database.owner, "shop@%", Statements(ROOT / "sql", more=[ROOT / "reports"]))
    done = command("seed", "--products", str(products), "--yes", timeout=SEEDING, DATABASE_URL=as_url(database.owner))
    assert done.returncode == 0, done.stderr
    execute(database.owner, "UPDATE products SET stock_quantity = 10000000", by_hand=False)
    return database, [row["id"] for row in execute(database.owner, "SELECT id FROM products WHERE is_active = 1")]


def watch(shop, seconds):
    """Return what the shop holds every few seconds: (when, vitals)."""
    looks, began = [], time.monotonic()
    until = began + seconds
    while time.monotonic() < until:
        time.sleep(min(EVERY, seconds / 20))
        looks.append((time.monotonic(), vitals(shop)))
        if len(looks) % TOLD == 0:
            print(f"{(looks[-1][0] - began) / 60:4.0f} min", looks[-1][1], flush=True)
    return looks


def p99(load, since, until):
    """Return the 99th percentile of the seconds of all requests of a time."""
    return statistics.quantiles(load.took(since=since, until=until), n=100)[98]


def told(looks, load, part):
    """Print the figures; return the sentences for what is not as it should be."""
    problems, began, ended = [], looks[0][0], looks[-1][0]

    def mean(name, since, until):
        return statistics.mean(look[name] for when, look in looks if since <= when <= until)

    memory = [mean("memory", began + part / 2, began + part), mean("memory", ended - part, ended)]
    slowest = [p99(load, began, began + part) * 1000, p99(load, ended - part, ended) * 1000]
    rate = len(load.took(since=began, until=ended)) / (ended - began)
    print(f"{(ended - began) / 60:.1f} minutes at {rate:.0f} requests/s; parts of {part / 60:.1f} minutes are compared")
    print(f"memory:      {memory[0]:.1f} MiB, then {memory[1]:.1f} MiB ({memory[1] / memory[0] - 1:+.1%})")
    print(f"p99:         {slowest[0]:.1f} ms, then {slowest[1]:.1f} ms ({slowest[1] / slowest[0]:.2f} times)")
    if abs(memory[1] / memory[0] - 1) > MEMORY:
        problems.append("The memory is not flat.")
    if slowest[1] > SLOWER * slowest[0]:
        problems.append("The slowest requests became slower.")
    for name in ("descriptors", "threads"):
        first, last = (max(look[name] for _, look in some) for some in (looks[: len(looks) // 4], looks[-3:]))
        print(f"{name + ':':12} {first}, then {last}")
        if name == "descriptors" and last > first:
            problems.append("There are more descriptors.")
    if failed := load.failed():
        problems.append(f"{len(failed)} requests failed, first {failed[0]}.")
    return problems


def main():
    """Run it, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, help="requests a second; without it, half of what the shop can serve")
    options = parser.parse_args()
    seconds = options.minutes * 60
    with tempfile.TemporaryDirectory(prefix="bodega-soak-") as folder, servers(pathlib.Path(folder)) as start:
        database, products = prepare(pathlib.Path(folder))
        try:
            settings = {"RATE_LIMITS": "off", "CHORES": "on", "PAYMENT_PROVIDERS": "dummy", "LOG_LEVEL": "warning"}
            shop = start("--workers", "2", "--threads", "4", DATABASE_URL=as_url(database.application), **settings)
            with shopping(shop.url, products, rate=None, run="fast") as fast:
                time.sleep(CAPACITY)
            most = len(fast.asked) / CAPACITY
            print(f"as fast as it can: {most:.0f} requests/s", flush=True)
            with shopping(shop.url, products, rate=options.rate or most / 2, clients=32) as load:
                looks = watch(shop, seconds)
            problems = told(looks, load, min(PART, seconds / 4))
            print(load.audit(functools.partial(execute, database.owner)))
            require_sound_data(database.owner)
        finally:
            shop.stop()
            database.stop()
    print(*problems or ["All as it should be."], sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
