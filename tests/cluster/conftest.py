"""A cluster of database servers, two shops on it, and HAProxy before them, with the files of deploy/cluster/.

ENGINES names the engines that the tests run on. CLUSTER=long makes the long form. What is measured is printed (-s), and
added to the file FIGURES, a line of JSON each.
"""

import dataclasses
import os
import pathlib
import signal
import time

import galera
import group_replication
import pytest
from figures import either, figure  # noqa: F401 - fixtures
from front import fronting
from helpers import BY_HAND, RealServer, command, eventually, execute, servers
from load import STOCK
from nodes import COMES, Cluster, Node

from core.db.owner import give_rights
from core.db.statements import Statements
from core.setup import system
from core.setup.system import ROOT

HERE = pathlib.Path(__file__).parent
ENGINES = {"galera": galera.Galera, "group_replication": group_replication.Group}
MISSING = {"galera": galera.missing, "group_replication": group_replication.missing}
PRODUCTS = 50
WORKERS, THREADS = 2, 3  # of each shop


def pytest_collection_modifyitems(items):
    """Mark all tests of this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("cluster")
            item.add_marker("slow")
            item.add_marker("no_cover")


@dataclasses.dataclass
class Scene:
    """All that may break."""

    cluster: Cluster
    shops: list[RealServer]
    start: object
    settings: dict

    def open(self, port: str = "") -> RealServer:
        """Start a shop, on this port if it is given."""
        words = ["--workers", str(WORKERS), "--threads", str(THREADS), *(["--port", port] if port else [])]
        return self.start(*words, **self.settings)

    def writer(self) -> Node:
        """Return the node that the shops write to."""
        return self.cluster.writer()

    def other(self) -> Node:
        """Return the last of the others."""
        return next(node for node in reversed(self.cluster.nodes) if node is not self.writer())

    def kill_shop(self) -> None:
        """Kill all processes of the first shop with -9."""
        os.killpg(self.shops[0].process.pid, signal.SIGKILL)
        self.shops[0].process.wait()

    def heal(self) -> None:
        """Let all run as at first; return when they do."""
        self.cluster.heal()
        for number, shop in enumerate(self.shops):
            if shop.process.poll() is not None:
                self.shops[number] = self.open(str(shop.port))
                self.shops[number].port = shop.port

    def goes_home(self) -> None:
        """Wait until the shops, which are visited meanwhile, write to the node that they prefer, and to no other."""
        assert eventually(self._is_home, COMES)

    def _is_home(self) -> bool:
        before = {node.name: node.begun() for node in self.cluster.nodes}
        time.sleep(1)
        written = {node.name for node in self.cluster.nodes if node.begun() > before[node.name]}
        return written == {self.writer().name}


@pytest.fixture(scope="session", params=ENGINES)
def cluster(request):
    """Three nodes with the shop's tables and 50 products, of which there are plenty."""
    lacks = MISSING[request.param]()
    if not lacks and not system.program("haproxy"):
        lacks = "needs haproxy"
    if lacks:
        pytest.skip(lacks)
    made = ENGINES[request.param]()
    try:
        made.up()
        BY_HAND.clear()
        done = command("migrate", DATABASE_URL=made.owner_url)
        assert done.returncode == 0, done.stderr
        give_rights(made.owner, "shop@%", Statements(ROOT / "sql", more=[ROOT / "reports"]))
        done = command("seed", "--products", str(PRODUCTS), DATABASE_URL=made.owner_url)
        assert done.returncode == 0, done.stderr
        execute(made.owner, "UPDATE products SET stock_quantity = %s", [STOCK], by_hand=False)
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def products(cluster):
    """Their ids."""
    return [row["id"] for row in execute(cluster.owner, "SELECT id FROM products WHERE is_active = 1")]


@pytest.fixture(scope="session")
def scene(cluster, tmp_path_factory):
    """The cluster, and two shops on it."""
    settings = {"DATABASE_URL": cluster.url, "RATE_LIMITS": "off", "PAYMENT_PROVIDERS": "manual,dummy", "CHORES": "on"}
    settings |= {"QUEUE_TIMEOUT": "2", "TRUSTED_PROXIES": "127.0.0.1"}  # as docs/cluster.md wants it
    with servers(tmp_path_factory.mktemp("shops")) as start:
        made = Scene(cluster, [], start, settings)
        made.shops += [made.open(), made.open()]
        yield made


@pytest.fixture(scope="session")
def front(scene, tmp_path_factory):
    """HAProxy before the shops."""
    with fronting(tmp_path_factory.mktemp("haproxy"), [shop.port for shop in scene.shops]) as made:
        yield made
