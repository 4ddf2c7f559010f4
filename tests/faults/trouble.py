"""What may break under a shop, each a function of the Scene that ends with all of it over; and what a shop holds."""

import contextlib
import dataclasses
import os
import pathlib
import random
import signal
import time
from typing import Any

from helpers import eventually, execute, workers
from mortal import Database
from proxy import Proxy

from core.db import drivers


@dataclasses.dataclass
class Scene:
    """A shop, the proxy before its database, and the dice."""

    dice: random.Random
    database: Database
    proxy: Proxy
    shop: Any
    clients: int  # of the load
    broken: int = 0  # connections of clients that may have been cut
    killed_at: float = 0.0

    def pause(self, least: float, most: float) -> None:
        """Wait for a time of chance."""
        time.sleep(self.dice.uniform(least, most))


def database_killed(scene):
    """Kill it with -9; it is back after a while."""
    scene.database.kill()
    scene.pause(0, 1)
    scene.database.start()


def database_frozen(scene):
    """Let it stand still."""
    scene.database.freeze()
    scene.pause(0.5, 4)
    scene.database.thaw()


def black_hole(scene):
    """Let its host be unheard of."""
    scene.proxy.hole()
    scene.pause(0.5, 4)
    scene.proxy.pass_on()


def refused(scene):
    """Let its host answer, and nobody listen."""
    scene.proxy.refuse()
    scene.pause(0.2, 2)
    scene.proxy.pass_on()


def database_slow(scene):
    """Let each reply take a while."""
    scene.proxy.delay = scene.dice.uniform(0.05, 1)
    time.sleep(2)
    scene.proxy.delay = 0.0


def replies_lost(scene):
    """Lose some, of COMMIT too."""
    for _ in range(10):
        text, when = scene.dice.choice(["^.COMMIT", "cart/", "orders/"]), scene.dice.choice(["before", "after"])
        cut = scene.proxy.cut(text, when)
        eventually(lambda cut=cut: cut.done, 0.3)


def connections_cut(scene):
    """Cut all connections to the database, three times."""
    for _ in range(3):
        scene.proxy.drop()
        time.sleep(0.2)


def connections_killed(scene):
    """Let a DBA kill each connection of the shop."""
    owner, found = scene.database.owner, "SELECT id FROM information_schema.processlist WHERE user = 'shop'"
    for row in execute(owner, found):
        with contextlib.suppress(*drivers.DatabaseError):  # it has left already
            execute(owner, "KILL %s", [row["id"]])


def rows_locked(scene):
    """Lock all products for some time, as a careless DBA does."""
    with contextlib.closing(drivers.connect(scene.database.owner, 10)) as connection, connection.cursor() as cursor:
        connection.begin()
        cursor.execute("SELECT id FROM products FOR UPDATE")
        scene.pause(0.5, 3)
        connection.rollback()


def database_read_only(scene):
    """Let it take no writes."""
    execute(scene.database.owner, "SET GLOBAL read_only = 1")
    scene.pause(0.5, 2)
    execute(scene.database.owner, "SET GLOBAL read_only = 0")


def too_many_connections(scene):
    """Let others have all connections."""
    with contextlib.ExitStack() as stack:
        connect = lambda: stack.enter_context(contextlib.closing(drivers.connect(scene.database.owner, 10)))  # noqa: E731
        first = connect()
        with first.cursor() as cursor:
            cursor.execute("SET GLOBAL max_connections = 10")  # the least
            scene.proxy.drop()
            with contextlib.suppress(*drivers.DatabaseError):
                while True:
                    connect()
            scene.pause(0.5, 2)
            cursor.execute("SET GLOBAL max_connections = 300")


def process_killed(scene):
    """Kill a worker, or the chores, with -9: a worker's own requests break. Who dies too often is given up."""
    time.sleep(max(0.0, scene.killed_at + 3 - time.monotonic()))
    scene.killed_at = time.monotonic()
    before = workers(scene.shop)
    os.kill(scene.dice.choice(sorted(before)), signal.SIGKILL)
    scene.broken += scene.clients
    assert eventually(lambda: len(workers(scene.shop)) == len(before) and workers(scene.shop) != before)


def hung_up(scene):
    """Replace the workers one by one."""
    done = scene.shop.log.count("All workers are replaced.")
    scene.shop.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: scene.shop.log.count("All workers are replaced.") > done, 40), scene.shop.log[-3000:]


ALL = (
    database_killed,
    database_frozen,
    black_hole,
    refused,
    database_slow,
    replies_lost,
    connections_cut,
    connections_killed,
    rows_locked,
    database_read_only,
    too_many_connections,
    process_killed,
    hung_up,
)


def vitals(shop, database: Database | None = None) -> dict[str, float]:
    """Return what a server holds, all its processes together; memory in MiB, as the processes share it.

    Without the pages of files (programs, libraries), which other processes of the machine share as well.
    """
    found: dict[str, float] = {"processes": 0, "threads": 0, "descriptors": 0, "memory": 0}
    for pid in [shop.process.pid, *workers(shop)]:
        place = pathlib.Path("/proc", str(pid))
        found["processes"] += 1
        found["threads"] += len(list((place / "task").iterdir()))
        found["descriptors"] += len(list((place / "fd").iterdir()))
        for line in (place / "smaps_rollup").read_text().splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                found["memory"] += int(line.split()[1]) / 1024
    return found | ({"connections": database.connections()} if database else {})


def open_files(shop) -> list[str]:
    """Return what the descriptors of a server's processes are, sorted: to read where there are more than before."""
    found = []
    for number, pid in enumerate([shop.process.pid, *sorted(workers(shop))]):
        for place in pathlib.Path("/proc", str(pid), "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(f"process {number}: {place.readlink()}")
    return sorted(found)
