"""Three servers of MySQL Group Replication with deploy/cluster/group_replication.cnf: only addresses and sizes differ.

MYSQLD names the program, MySQL 8.4 or newer. Each server has a network namespace of its own, joined by a bridge in this
machine, so that one can be cut off from the others while the shops still reach it.
"""

import contextlib
import os
import pathlib
import shlex
import shutil
import subprocess

from helpers import eventually, execute
from mortal import PASSWORD
from nodes import PORT, Cluster, Node

from core.db import drivers
from core.setup import system
from core.setup.embedded import user
from core.setup.embedded_process import die_with
from core.setup.system import ROOT

SETTINGS = ROOT / "deploy" / "cluster" / "group_replication.cnf"
MYSQLD = os.environ.get("MYSQLD", "")
SMALL = ("--innodb-redo-log-capacity=32M", "--innodb-buffer-pool-size=128M", "--secure-file-priv=NULL")
BEGUN = (
    "SELECT COALESCE(SUM(count_star), 0) AS n "
    "FROM performance_schema.events_statements_summary_by_account_by_event_name "
    "WHERE user = 'shop' AND event_name = 'statement/sql/begin'"
)
MEMBERS = (
    "SELECT member_host AS host, member_state AS state, member_role AS role "
    "FROM performance_schema.replication_group_members"
)


def missing() -> str | None:
    """Return what of this machine is missing for it, as the reason of a skipped test."""
    if not pathlib.Path(MYSQLD).is_file():
        return "needs MYSQLD, the program of MySQL 8.4 or newer: tests/cluster/unpack_mysql.sh unpacks one"
    if os.geteuid() or not all(map(system.program, ("ip", "unshare", "nsenter"))):
        return "needs root, and ip, unshare and nsenter, to cut a server off (on Debian: iproute2 util-linux)"
    return None


class GroupNode(Node):
    """A mysqld in a network namespace, which another process keeps open: it outlives a server that is killed."""

    def __init__(self, folder: pathlib.Path, name: str, address: str, addresses: list[str]) -> None:
        super().__init__(folder, name, address)
        self.addresses, self.number = addresses, addresses.index(address) + 1
        text = SETTINGS.read_text()
        for before, after in (
            ("server_id = 1", f"server_id = {self.number}"),
            ("10.0.0.1:3306,10.0.0.2:3306,10.0.0.3:3306", ",".join(f"{one}:{PORT}" for one in addresses)),
            ("= 10.0.0.1", f"= {address}"),
        ):
            assert before in text, before
            text = text.replace(before, after)
        self.settings = self.folder / "group_replication.cnf"
        self.settings.write_text(text)
        self.space: subprocess.Popen | None = None

    def connect(self, bridge: str) -> None:
        """Make its network: one interface, on the bridge."""
        parent = os.getpid()
        self.space = subprocess.Popen(
            ["unshare", "--net", "sleep", "infinity"],
            start_new_session=True,
            preexec_fn=lambda: die_with(parent),  # noqa: PLW1509 - it takes no lock
        )
        ours = os.readlink("/proc/self/ns/net")
        assert eventually(lambda: os.readlink(f"/proc/{self.space.pid}/ns/net") != ours)
        port = f"{bridge}{self.number}"
        run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(self.space.pid))
        run("ip", "link", "set", port, "master", bridge, "up")
        run(*self.inside(), "ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        run(*self.inside(), "ip", "link", "set", "eth0", "up")
        run(*self.inside(), "ip", "link", "set", "lo", "up")

    def inside(self) -> list[str]:
        """Return the words before a command that runs in its network."""
        return ["nsenter", "--net", "--target", str(self.space.pid)]

    def command(self) -> list[str]:
        """Return the words that start it."""
        files = (f"--datadir={self.data}", f"--socket={self.socket}", f"--pid-file={self.folder / 'pid'}")
        return [*self.inside(), MYSQLD, f"--defaults-file={self.settings}", f"--user={user()}", *files, *SMALL]

    def members(self) -> dict[str, tuple[str, str]]:
        """Return (state, role) of each member by its address, as this server sees them."""
        with contextlib.suppress(*drivers.DatabaseError):
            return {row["host"]: (row["state"], row["role"]) for row in self.ask(MEMBERS)}
        return {}

    def is_ready(self) -> bool:
        """Whether it and both others are in the group, and have all that was written."""
        members = self.members()
        return set(members) == set(self.addresses) and {state for state, _ in members.values()} == {"ONLINE"}

    def is_primary(self) -> bool:
        """Whether it takes writes."""
        return self.members().get(self.address) == ("ONLINE", "PRIMARY")

    def uuid(self) -> str:
        """Return the name by which the group knows it."""
        return self.ask("SELECT @@server_uuid AS uuid")[0]["uuid"]

    def begun(self) -> int:
        """Return how many transactions the shops have begun here: Com_begin counts those of the group, too."""
        with contextlib.suppress(*drivers.DatabaseError):
            return int(self.ask(BEGUN)[0]["n"])
        return 0

    def isolate(self) -> None:
        """Cut it off from the other servers, both ways; the shops still reach it."""
        self._route("add")
        self.isolated = True

    def rejoin(self) -> None:
        """Heal that; it joins by itself."""
        self._route("delete")
        self.isolated = False

    def _route(self, change: str) -> None:
        for address in self.addresses:
            if address != self.address:
                run(*self.inside(), "ip", "route", change, "blackhole", f"{address}/32")


class Group(Cluster):
    """The first makes the group, the others join it. Later, whoever the group has elected is written to."""

    engine = "group_replication"
    make = GroupNode
    failover = 9.0  # a server that says nothing is suspected after 5 s, which cannot be set

    def __init__(self) -> None:
        super().__init__("198.18")
        self.bridge = f"shop{os.getpid()}"

    def up(self) -> None:
        """Make the data, the accounts `owner`, `shop` and `replication`, and start all servers."""
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "address", "add", self.nodes[0].address.rpartition(".")[0] + ".254/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        (self.folder / "accounts.sql").write_text(ACCOUNTS)
        first, *others = self.nodes
        words = ["--no-defaults", "--initialize-insecure", "--skip-log-bin", f"--user={user()}", *SMALL]
        files = (f"--datadir={first.data}", f"--init-file={self.folder / 'accounts.sql'}", f"--log-error={first.log}")
        run(MYSQLD, *words, *files)
        for node in others:
            shutil.copytree(first.data, node.data, dirs_exist_ok=True)
        for node in self.nodes:
            (node.data / "auto.cnf").unlink(missing_ok=True)  # the number of this server alone
            node.connect(self.bridge)
            node.start("--loose-group-replication-start-on-boot=OFF")
        for node in self.nodes:
            node.require(lambda node=node: bool(node.members()))
            execute(node.owner, LOGIN)
        for statement in (
            "SET GLOBAL group_replication_bootstrap_group = ON",
            "START GROUP_REPLICATION",
            "SET GLOBAL group_replication_bootstrap_group = OFF",
        ):
            execute(first.owner, statement)
        for node in others:
            execute(node.owner, "START GROUP_REPLICATION")
        self.require_ready()

    def writer(self) -> Node:
        """Return the primary, as soon as there is one."""
        assert eventually(lambda: any(node.is_primary() for node in self.nodes))
        return next(node for node in self.nodes if node.is_primary())

    def down(self) -> None:
        """End all servers, and remove their data and their network."""
        super().down()
        for node in self.nodes:
            if node.space:
                node.space.kill()
                node.space.wait()
        subprocess.run(["ip", "link", "delete", self.bridge], check=False, capture_output=True)


def run(*words: str) -> None:
    """Run a command; fail with what it says."""
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr}"


ACCOUNTS = f"""
CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
CREATE USER replication@'%' IDENTIFIED BY '{PASSWORD}';
GRANT REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO replication@'%';
CREATE USER owner@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO owner@'%' WITH GRANT OPTION;
CREATE USER shop@'%' IDENTIFIED BY '{PASSWORD}';
"""
LOGIN = (
    f"CHANGE REPLICATION SOURCE TO SOURCE_USER = 'replication', SOURCE_PASSWORD = '{PASSWORD}' "
    "FOR CHANNEL 'group_replication_recovery'"
)
