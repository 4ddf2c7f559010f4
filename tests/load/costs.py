"""What does each kind of request cost? Processor time of the shop, of its database and of a replica, and bytes.

    .venv/bin/python tests/load/costs.py [--products 100000] [--orders 100000] [--rounds 5] [--seconds 2]

Starts a MariaDB of its own that is set up to lose nothing (each COMMIT flushes log and binary log), a replica of it,
and a shop of two workers, as shipped but without limits. `wrk` sends each kind of request of kinds.py over some
connections, in turns; counted is the processor time that the processes have had (/proc/PID/task/*/schedstat), which
other work on the machine disturbs little. The floor is /api/health: all plugins, and no database. It prints the medians
of the rounds, and their spread, and writes all of it to tests/load/costs.json, of which scaling.py makes its tables.
At last it sends the mix of all kinds, as fast as the shop takes it: scaling.py compares it with what it expects.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "faults"), str(TESTS / "load")]

from helpers import as_url, command, execute, require_sound_data, servers, workers  # noqa: E402 - after the path
from kinds import COST, Kinds  # noqa: E402
from mix import MIX  # noqa: E402
from mortal import PASSWORD, Database  # noqa: E402
from sizes import sizes  # noqa: E402
from soak import SEEDING, prepare  # noqa: E402

REPLAY = pathlib.Path(__file__).with_name("replay.lua")
FOUND = pathlib.Path(__file__).with_name("costs.json")
WORKERS = 2
CONNECTIONS = 16
FEWER = {"log in": 2, "search": 2}  # at once: of both a worker makes one at a time, and refuses who would wait long
LONGER = {"log in": 3, "search": 2}  # times, as they are few
ENOUGH = {
    "order": 1200,
    "order of one product": 1200,
    "pay": 1200,
    "log in": 40,
    "add to a cart": 5000,
    "cart": 5000,
}  # requests a second
PLENTY = 8000
KINDS = ["health", "list from memory", "product from memory", "list and its total", *MIX, "order of one product"]
DURABLE = (
    "--innodb-flush-log-at-trx-commit=1",
    "--sync-binlog=1",
    "--binlog-format=ROW",
    "--innodb-buffer-pool-size=1G",
    "--innodb-log-file-size=512M",
)
MOST_ERRORS = 0.02  # of the requests: on a busy machine searches are refused
SETTLE = 0.5  # seconds until what a write leaves behind (purge, flush) is done, most of it
COUNTERS = ("Binlog_bytes_written", "Binlog_commits", "Innodb_os_log_written", "Bytes_sent", "Bytes_received")


def had(*pids):
    """Return the µs of processor time that each thread of these processes has had, by its number."""
    found = {}
    for path in (path for pid in pids for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            found[path.parent.name] = int(path.read_text().split()[0]) / 1000
    return found


def more(after, before):
    """Return how much more a counter is; for the times of `had`, of all threads that are there together."""
    if isinstance(after, dict):
        return sum(spent - before.get(thread, 0) for thread, spent in after.items())
    return after - before


@contextlib.contextmanager
def replicated(folder, options):
    """Give a database with products and orders, and its replica."""
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    binary = f"--log-bin={folder / 'one' / 'binlog'}"
    database, replica = None, Database(folder / "two")
    try:
        database, _ = prepare(folder / "one", options.products, *DURABLE, binary, "--server-id=1")
        replica.start(*DURABLE, "--server-id=2")
        source = (
            f"master_host='127.0.0.1', master_port={database.port}, master_user='owner', master_password='{PASSWORD}'"
        )
        execute(replica.owner, f"CHANGE MASTER TO {source}, master_use_gtid=slave_pos")
        execute(replica.owner, "START SLAVE")
        done = command("seed", "--orders", str(options.orders), timeout=SEEDING, DATABASE_URL=as_url(database.owner))
        assert done.returncode == 0, done.stderr
        yield database, replica
    finally:
        for one in (replica, database):
            if one:
                one.stop()


def sent(wrk, shop, file, connections, seconds):
    """Send the requests of a file; return what replay.lua says of it."""
    load = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(REPLAY)]
    done = subprocess.run([*load, shop.url, "--", str(file)], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


class Meter:
    """Sends requests, and says what each of them took."""

    def __init__(self, wrk, folder, shop, database, replica):
        self._wrk, self._file, self._shop = wrk, folder / "requests", shop
        self._database, self._replica = database, replica

    def measure(self, requests, connections, seconds):
        """Return what each of these requests took: µs and bytes."""
        self._file.write_bytes(b"".join(one + b"\1" for one in requests))
        before = self._read()
        told = sent(self._wrk, self._shop, self._file, connections, seconds)
        time.sleep(SETTLE)
        after = self._read()
        if told["errors"] > MOST_ERRORS * told["sent"]:
            failed = [line for line in self._shop.log.splitlines() if " status=4" in line or " status=5" in line]
            sys.exit("\n".join([*failed[-5:], f"{told['errors']} of {told['sent']} requests failed."]))
        each = {name: more(after[name], before[name]) / told["sent"] for name in before}
        return {**each, "rate": told["answers"] / told["seconds"], "answer": told["bytes"] / max(1, told["answers"])}

    def _read(self):
        """Return all counters, once the replica has what the database has."""
        position = execute(self._database.owner, "SELECT @@gtid_binlog_pos AS position")[0]["position"]
        execute(self._replica.owner, "SELECT MASTER_GTID_WAIT(%s, 60)", [position])
        rows = execute(self._database.owner, "SHOW GLOBAL STATUS")
        told = {row["Variable_name"]: row["Value"] for row in rows}
        return {
            "shop": had(self._shop.process.pid, *workers(self._shop)),
            "database": had(self._database.process.pid),
            "replica": had(self._replica.process.pid),
            **{name.lower(): int(told[name]) for name in COUNTERS},
        }


def measured(meter, kinds, options):
    """Return {kind: [what each round found]}."""
    found = {kind: [] for kind in KINDS}
    for _ in range(options.rounds):
        for kind, rounds in found.items():
            kinds.placed()
            seconds = options.seconds * LONGER.get(kind, 1)
            requests = kinds.of(kind, ENOUGH.get(kind, PLENTY) * seconds)
            if kind.endswith("from memory"):
                meter.measure(requests, CONNECTIONS, 1)
            rounds.append(meter.measure(requests, FEWER.get(kind, CONNECTIONS), seconds))
    return found


def middle(rounds):
    """Return the medians of what rounds found, and how far the rounds' processor time is apart (of the median)."""
    all_of = [one["shop"] + one["database"] for one in rounds]
    spread = (max(all_of) - min(all_of)) / statistics.median(all_of)
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]} | {"spread": spread}


def line(kind, one, floor):
    """Return a line of the table."""
    both = one["shop"] + one["database"]
    spent = ", ".join(f"{name} {one[name]:,.0f}" for name in ("shop", "database", "replica"))
    return f"{kind:20} µs: {spent}; {both / floor:.2f} × floor, ± {one['spread'] / 2:.0%}; {one['answer']:.0f} bytes"


def main():
    """Run all rounds, print what they found and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="for each kind in a round")
    parser.add_argument("--json", type=pathlib.Path, default=FOUND, metavar="FILE")
    options = parser.parse_args()
    wrk = shutil.which("wrk") or sys.exit("wrk is missing. Install it: sudo apt-get install wrk")
    with (
        tempfile.TemporaryDirectory(prefix="bodega-costs-") as name,
        servers(pathlib.Path(name)) as start,
        replicated(pathlib.Path(name), options) as (database, replica),
    ):
        settings = {"RATE_LIMITS": "off", "PAYMENT_PROVIDERS": "dummy", "BCRYPT_COST": str(COST)}
        shop = start("--workers", str(WORKERS), DATABASE_URL=as_url(database.application), **settings)
        kinds = Kinds(database, f"127.0.0.1:{shop.port}")
        meter = Meter(wrk, pathlib.Path(name), shop, database, replica)
        found = {kind: middle(rounds) for kind, rounds in measured(meter, kinds, options).items()}
        kinds.placed()
        mix = [meter.measure(kinds.mixed(20_000), CONNECTIONS, 8) for _ in range(options.rounds)]
        told = sizes(database, shop)
        require_sound_data(database.owner)
        shop.stop()
    floor = found["health"]["shop"] + found["health"]["database"]
    for kind, one in {**found, "mix": middle(mix)}.items():
        print(line(kind, one, floor))
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "workers": WORKERS, "products": options.products}
    options.json.write_text(
        json.dumps({"on": machine, "kinds": found, "mix": middle(mix), "sizes": told}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
