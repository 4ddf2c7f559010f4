"""Three nodes of Galera with deploy/cluster/galera.cnf: only addresses, paths and the sizes of files are others."""

import contextlib
import os
import pathlib
import pwd
import re
import subprocess

from helpers import execute_script
from mortal import PASSWORD
from nodes import Cluster, Node, own

from core.database_url import DatabaseUrl
from core.db import drivers
from core.setup import system
from core.setup.embedded import user
from core.setup.system import ROOT

SETTINGS = ROOT / "deploy" / "cluster" / "galera.cnf"
LIBRARY = pathlib.Path("/usr/lib/galera/libgalera_smm.so")
NEEDED = ("mariadbd", "mariadb-install-db", "wsrep_sst_rsync", "rsync")
SYNCED = {"wsrep_ready": "ON", "wsrep_local_state": "4", "wsrep_cluster_status": "Primary"}
RUNS_AS = "mysql" if os.geteuid() == 0 else user()  # rsync, which it starts, gives root's rights away
SMALL = ("--innodb-log-file-size=16M", "--innodb-buffer-pool-size=128M")


def missing() -> str | None:
    """Return what of this machine is missing for it, as the reason of a skipped test."""
    lacks = [name for name in NEEDED if not system.program(name)]
    if not LIBRARY.exists():
        lacks.append(str(LIBRARY))
    with contextlib.suppress(KeyError):
        pwd.getpwnam(RUNS_AS)
        return f"needs {', '.join(lacks)} (on Debian: mariadb-server galera-4 rsync)" if lacks else None
    return f"needs the user {RUNS_AS!r} (on Debian: mariadb-server)"


class GaleraNode(Node):
    """A mariadbd. After a crash it is started as Debian's unit does: with the position that it finds in its data."""

    def __init__(self, folder: pathlib.Path, name: str, address: str, addresses: list[str]) -> None:
        super().__init__(folder, name, address)
        text = SETTINGS.read_text()
        for before, after in (
            ("wsrep_node_name = one", f"wsrep_node_name = {name}"),
            ("gcomm://10.0.0.1,10.0.0.2,10.0.0.3", f"gcomm://{','.join(addresses)}"),
            ("10.0.0.1", address),
            ("wsrep_sst_donor = three,", f"wsrep_sst_donor = {'two' if name == 'three' else 'three'},"),
            ("gcache.size=1G", "gcache.size=64M"),
        ):
            assert before in text, before
            text = text.replace(before, after)
        self.settings = self.folder / "galera.cnf"
        self.settings.write_text(text)

    def command(self) -> list[str]:
        """Return the words that start it."""
        return [
            system.program("mariadbd") or "",
            f"--defaults-file={self.settings}",
            f"--datadir={self.data}",
            f"--user={RUNS_AS}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            *SMALL,
        ]

    def start(self, *options: str) -> None:
        """Start it at the position of its data: else a node that was killed would be sent all data."""
        if (self.data / "grastate.dat").exists():
            found = subprocess.run([*self.command(), "--wsrep-recover"], capture_output=True, text=True, timeout=60)
            position = re.search(r"WSREP: Recovered position: *(\S+)", found.stderr)
            assert position, found.stderr
            options = (*options, f"--wsrep-start-position={position[1]}")
        super().start(*options)

    def is_ready(self) -> bool:
        """Whether it belongs to the majority, and has all that was written."""
        try:
            status = {row["Variable_name"]: row["Value"] for row in self.ask("SHOW GLOBAL STATUS LIKE 'wsrep%'")}
        except drivers.DatabaseError:
            return False
        return {name: status.get(name) for name in SYNCED} == SYNCED and status["wsrep_cluster_size"] == "3"

    def answers(self, url: DatabaseUrl) -> bool:
        """Whether it takes this login, and statements."""
        with contextlib.suppress(*drivers.DatabaseError):
            return bool(self.ask("SELECT COUNT(*) AS n FROM mysql.user", url))
        return False

    def isolate(self) -> None:
        """Let it drop all messages of the group, both ways."""
        self.ask("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'")
        self.isolated = True

    def rejoin(self) -> None:
        """Let the group's messages pass."""
        self.ask("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'")
        self.isolated = False


class Galera(Cluster):
    """The first is made, the others are sent its data (SST)."""

    engine = "galera"
    make = GaleraNode

    def up(self) -> None:
        """Make the data, the accounts `owner` and `shop`, and start all nodes."""
        first, *others = self.nodes
        words = ["--no-defaults", f"--datadir={first.data}", "--innodb-log-file-size=16M", "--skip-test-db"]
        login = ["--auth-root-authentication-method=socket", f"--auth-root-socket-user={user()}"]
        maker = [system.program("mariadb-install-db") or "", *words, *login]
        subprocess.run(maker, check=True, capture_output=True, env={**os.environ, "TMPDIR": str(self.folder)})
        own(self.folder, RUNS_AS)
        first.start("--wsrep-new-cluster")
        root = DatabaseUrl("mysql", user(), unix_socket=str(first.socket))
        first.require(lambda: first.answers(root))
        execute_script(root, ACCOUNTS)
        for node in others:
            node.start()
        self.require_ready()


ACCOUNTS = f"""
CREATE DATABASE IF NOT EXISTS shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
CREATE USER owner@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO owner@'%' WITH GRANT OPTION;
CREATE USER shop@'%' IDENTIFIED BY '{PASSWORD}';
"""
