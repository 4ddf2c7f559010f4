"""Nodes that hold the same data, and may be killed, frozen, stopped and cut off: what is the same for each engine.

An engine is a Node and a Cluster: galera.py. Each node has an address of its own in 127.0.0.0/8, so that ports and all
else are as in the files of deploy/cluster/, and clusters do not meet.
"""

import contextlib
import os
import pathlib
import pwd
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from typing import Any

from helpers import eventually
from mortal import PASSWORD

from core.database_url import DatabaseUrl, parse
from core.db import drivers
from core.setup import system
from core.setup.embedded_process import die_with

LONG_FORM = os.environ.get("CLUSTER") == "long"
PORT = 3306
COMES = 120  # seconds at the most for a node to come, on a machine that is busy
GOES = 120  # and to end in order; MySQL waits 50 s for a COMMIT that its group no longer answers
LOOK = 2  # seconds for an answer to a look at a node


class Node:
    """A server of a cluster. Start it from the main thread: Linux ends it with the thread that has started it.

    An engine adds `command()`, `is_ready()`, `isolate()` and `rejoin()`.
    """

    def __init__(self, folder: pathlib.Path, name: str, address: str) -> None:
        self.name, self.address = name, address
        self.folder = folder / name
        self.data, self.log = self.folder / "data", self.folder / "log"
        self.data.mkdir(parents=True)
        self.socket = folder / f"{name}.sock"
        self.process: subprocess.Popen | None = None
        self.owner = DatabaseUrl("shop", "owner", PASSWORD, address, PORT, tls=False)
        self.isolated = self.ends = False

    def command(self) -> list[str]:
        """Return the words that start it."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Whether it belongs to the majority, and has all that was written."""
        raise NotImplementedError

    def isolate(self) -> None:
        """Cut it off from the other nodes, while the shops still reach it."""
        raise NotImplementedError

    def rejoin(self) -> None:
        """Heal that."""
        raise NotImplementedError

    def start(self, *options: str) -> None:
        """Start it, with more options; `is_ready` says when it has come."""
        parent, self.ends = os.getpid(), False
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command(), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: die_with(parent),  # noqa: PLW1509 - it takes no lock
            )

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return bool(self.process) and self.process.poll() is None

    def kill(self) -> None:
        """Kill it with -9."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Let it stand still (SIGSTOP): its port takes connections, and nobody says a word."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Tell it to stop in order; it takes a while."""
        self.process.terminate()
        self.ends = True

    def stop(self) -> None:
        """Stop it in order."""
        if self.runs:
            self.thaw()
            self.end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(GOES)
            if self.runs:
                self.kill()

    def ask(self, statement: str, url: DatabaseUrl | None = None) -> list[dict[str, Any]]:
        """Run a statement here, as the owner; return its rows. Raises DatabaseError where it is not heard soon."""
        with (
            contextlib.closing(drivers.connect(url or self.owner, LOOK)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return list(cursor.fetchall())

    def begun(self) -> int:
        """Return how many transactions clients have begun here; 0 where it says nothing."""
        with contextlib.suppress(*drivers.DatabaseError):
            return int(self.ask("SHOW GLOBAL STATUS LIKE 'Com_begin'")[0]["Value"])
        return 0

    def require(self, happens: Callable[[], bool]) -> None:
        """Wait until `happens()`; fail with the end of its log."""
        happened = eventually(lambda: not self.runs or happens(), COMES)
        assert happened and self.runs, f"{self.name}: {system.last_lines(self.log.read_text(errors='replace'), 30)}"


class Cluster:
    """Three nodes, the first of which the shops write to as long as it is well.

    `engine`: its name; `make(folder, name, address, addresses)`: a Node; `failover`: seconds at the most in which
    requests may fail where the node that is written to goes. An engine adds `up()`.
    """

    engine = ""
    make: Any = None
    failover = 3.0

    def __init__(self, net: str = "127") -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bodega-cluster-"))
        while net.count(".") < 2:
            net += f".{random.randint(1, 254)}"
        names, addresses = ("one", "two", "three"), [f"{net}.{n}" for n in (1, 2, 3)]
        made = zip(names, addresses, strict=True)
        self.nodes = [self.make(self.folder, name, address, addresses) for name, address in made]
        hosts = ",".join(f"{node.address}:{PORT}" for node in self.nodes)
        self.url, self.owner_url = (f"mysql://{who}:{PASSWORD}@{hosts}/shop?ssl=off" for who in ("shop", "owner"))
        self.owner = parse(self.owner_url)

    def up(self) -> None:
        """Make the data, the accounts `owner` and `shop`, and start all nodes."""
        raise NotImplementedError

    def writer(self) -> Node:
        """Return the node that the shops write to."""
        return self.nodes[0]

    def agree(self) -> bool:
        """Whether all nodes have the same rows, as soon as each has been sent what it lacks."""
        tables = "SELECT table_name AS t FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
        names = [row["t"] for row in self.nodes[0].ask(tables + "AND table_schema = DATABASE()")]
        check = f"CHECKSUM TABLE {', '.join(names)}"
        return eventually(lambda: all(self.nodes[0].ask(check) == node.ask(check) for node in self.nodes[1:]), COMES)

    def heal(self) -> None:
        """Let all nodes run as at first, whatever was done to them; return when they are ready."""
        for node in self.nodes:
            if node.ends:
                node.process.wait(GOES)
            if not node.runs:
                node.start()
            node.thaw()
            if node.isolated:
                node.rejoin()
        self.require_ready()

    def require_ready(self) -> None:
        """Wait until all nodes are, at the same moment; fail with the end of the log of one that is not."""
        if not eventually(lambda: all(node.is_ready() for node in self.nodes), COMES):
            for node in self.nodes:
                node.require(node.is_ready)

    def down(self) -> None:
        """End all nodes, and remove their data."""
        for node in self.nodes:
            if node.runs:
                node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def own(folder: pathlib.Path, user: str) -> None:
    """Give a folder to this user, if we are root: mariadbd gives root's rights away."""
    if os.geteuid() == 0:
        who = pwd.getpwnam(user)
        for place in (folder, *folder.rglob("*")):
            os.chown(place, who.pw_uid, who.pw_gid, follow_symlinks=False)
