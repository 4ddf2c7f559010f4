"""What a replica takes off the database: its processor time for 1,000 requests, without one and with one.

    .venv/bin/python tests/load/replica.py [--seconds 10] [--rates 0 1 5 20]

Starts a MariaDB, a replica of it, and two shops of one worker, of which one reads from the replica, 2,000 products.
Each run has wrk ask for the shopper's mix (tests/load/shopper.lua) over 8 connections, while guests buy so many times a
second: an order changes the catalogue, and the host then reads from the database until the replica has it. It also
prints which share of the statements with `-- replica: ok` the replica has answered. Processor time of the database:
other work on the machine matters little.
"""

import argparse
import contextlib
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "faults"), str(TESTS / "load")]

import compare  # noqa: E402 - after the path
from helpers import as_url, eventually, execute, servers  # noqa: E402
from replication import pair  # noqa: E402

from commands import seed  # noqa: E402


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rates", type=float, nargs="+", default=[0, 1, 5, 20])
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        both = stack.enter_context(pair())
        seed.fill(both.owner, 2000, clear=True)
        execute(both.owner, "UPDATE products SET stock_quantity = 1000000")
        both.catch_up()
        start = stack.enter_context(servers(pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        common = {"DATABASE_URL": as_url(both.application), "RATE_LIMITS": "off", "METRICS": "public"}
        plain = start("--workers", "1", **common)
        with_one = start("--workers", "1", "--threads", "7", **common, DATABASE_REPLICA_URL=as_url(both.login))
        assert eventually(lambda: with_one.request("/api/categories") and reads_of(with_one, "replica"))
        print("orders/s  without: ms/1,000  with: ms/1,000   ratio  answered by the replica")
        for rate in options.rates:
            spent = [measured(both, one, rate, options.seconds) for one in (plain, with_one)]
            (without, *_), (own, share, orders) = spent
            print(f"{orders:8.1f} {without:18.0f} {own:15.0f} {own / without:7.2f} {share:10.0%}")


def measured(both, real, rate: float, seconds: float) -> tuple[float, float, float]:
    """Return the primary's ms of CPU for 1,000 requests, the replica's share of what it may answer, and orders/s."""
    ids = compare.products(real.url)[:50]
    over, bought = threading.Event(), []
    buying = threading.Thread(target=buy, args=(real, ids, rate, over, bought))
    buying.start()
    before = cpu(both.primary), *(reads_of(real, server) for server in ("replica", "primary"))
    words = [
        "wrk",
        "-t2",
        "-c8",
        f"-d{seconds:g}s",
        "-s",
        str(compare.SHOPPER),
        real.url,
        "--",
        "1",
        uuid.uuid4().hex,
        "200",
    ]
    said = subprocess.run([*words, *ids], capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r'"requests": (\d+)', said)[1])
    after = cpu(both.primary), *(reads_of(real, server) for server in ("replica", "primary"))
    over.set()
    buying.join()
    spent, replica, primary = (b - a for a, b in zip(before, after, strict=True))
    return spent * 1e6 / requests, replica / max(1, replica + primary), len(bought) / seconds


def buy(real, ids: list[str], rate: float, over: threading.Event, bought: list[int]) -> None:
    """Buy a piece so many times a second, or as often as the shop can; note each."""
    began = time.monotonic()
    while rate and not over.wait(max(0.0, began + len(bought) / rate - time.monotonic())):
        bought.append(number := len(bought))
        session = uuid.uuid4().hex
        real.request(f"/api/cart/{session}/items", "POST", {"product_id": int(ids[number % len(ids)]), "quantity": 1})
        total = real.request(f"/api/cart/{session}").json["data"]["total"]
        named = {"Session_ID": session, "Idempotency_Key": session}
        assert (
            real.request("/api/orders", "POST", {"expected_total": total, "email": "a@example.com"}, **named).status
            == 201
        )


def cpu(database) -> float:
    """Return the seconds of processor time that a server has had."""
    fields = pathlib.Path(f"/proc/{database.process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def reads_of(real, server: str) -> int:
    """Return how many statements this server has answered."""
    said = real.request("/metrics").body.decode()
    found = re.search(rf'^bodega_replica_reads_total{{server="{server}"}} (\d+)', said, re.M)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    main()
