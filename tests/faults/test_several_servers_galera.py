"""A node of Galera: what it says of itself, what it answers to COMMIT, and how it stores what it acknowledges.

Here it is one node, which is its own cluster; tests/cluster/ has three.
"""

import contextlib
import dataclasses
import pathlib
import shutil
import tempfile

import pytest
from helpers import as_url, command, execute, free_port
from mortal import Database as Mortal

from core.db import drivers, fitness, primary
from core.db.database import Database
from core.db.migrator import Migrator
from core.db.statements import Statements
from core.setup.system import ROOT

LIBRARY = pathlib.Path("/usr/lib/galera/libgalera_smm.so")
pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="needs Galera: apt-get install galera-4")


def started(*options):
    """Start a MariaDB with more options; return it."""
    made = Mortal(pathlib.Path(tempfile.mkdtemp(prefix="bodega-test-")))
    made.start("--innodb-buffer-pool-size=32M", *options)
    Migrator(made.owner, say=lambda line: None).up()
    return made


@pytest.fixture(scope="module")
def node():
    """A node that is a cluster by itself."""
    port = free_port()
    options = f"base_port={port};gmcast.listen_addr=tcp://127.0.0.1:{port};gcache.size=16M"
    made = started(
        "--wsrep-on=ON",
        f"--wsrep-provider={LIBRARY}",
        "--wsrep-cluster-address=gcomm://",
        f"--wsrep-node-address=127.0.0.1:{port}",
        f"--wsrep-provider-options={options}",
        "--binlog-format=ROW",
        "--innodb-autoinc-lock-mode=2",
        "--innodb-flush-log-at-trx-commit=1",
    )
    yield made
    made.stop()
    shutil.rmtree(made.folder)


@pytest.fixture(scope="module")
def other():
    """A MariaDB without Galera."""
    made = started("--innodb-flush-log-at-trx-commit=2")
    yield made
    made.stop()
    shutil.rmtree(made.folder)


@pytest.fixture
def sound(node, other):
    """The owner's DatabaseUrl of both servers; what a test has set there is set back."""
    primary._primaries.clear()
    yield dataclasses.replace(node.owner, others=(("127.0.0.1", other.port),))
    tell(node, "SET GLOBAL wsrep_reject_queries = NONE")
    tell(node, "SET GLOBAL innodb_flush_log_at_trx_commit = 1, GLOBAL wsrep_desync = OFF")


def tell(server, statement):
    """Run a statement without COMMIT after it, which a node that rejects queries would reject."""
    with contextlib.closing(drivers.connect(server.owner, 10)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def seen(server):
    """Return what a server is good for."""
    look = fitness.Look(server.owner, drivers._open_to_ask)
    found = look.see()
    look.leave()
    assert found.why.startswith(f"127.0.0.1:{server.port}")
    return found.fitness


def test_a_node_is_writable_while_it_is_in_step_with_its_cluster(node, other, sound):
    assert seen(node) == seen(other) == fitness.Fitness.WRITABLE

    tell(node, "SET GLOBAL wsrep_desync = ON")

    assert seen(node) == fitness.Fitness.DESYNCED


def test_a_node_that_takes_no_statements_is_away(node, sound):
    tell(node, "SET GLOBAL wsrep_reject_queries = ALL")

    assert seen(node) == fitness.Fitness.AWAY


def test_a_commit_that_a_node_refuses_is_repeated_on_the_next_server(node, other, sound):
    """1047: it takes no statements any more, COMMIT neither."""
    db, ports = Database(sound, Statements(ROOT / "sql"), 2.0), []

    def work(session):
        session._cursor.execute("SELECT @@port AS port")
        ports.append(session._cursor.fetchone()["port"])
        session.add("categories/add", name="Tea", description=None)
        tell(node, "SET GLOBAL wsrep_reject_queries = ALL")

    db.transaction(work)

    tell(node, "SET GLOBAL wsrep_reject_queries = NONE")
    assert ports == [node.port, other.port]
    assert [execute(one.owner, "SELECT COUNT(*) AS n FROM categories")[0]["n"] for one in (node, other)] == [0, 1]


def test_check_says_what_is_at_risk_on_a_node_that_does_not_store_what_it_acknowledges(node, sound):
    sound = as_url(sound)
    assert command("check", DATABASE_URL=sound).returncode == 0  # the other server is in no cluster

    tell(node, "SET GLOBAL innodb_flush_log_at_trx_commit = 2")
    done = command("check", DATABASE_URL=sound)

    assert done.returncode == 1
    assert done.stdout.splitlines()[1:] == [
        f"shop on 127.0.0.1:{node.port} is a node of a cluster, and its innodb_flush_log_at_trx_commit is 2: orders "
        "that were acknowledged are lost where all nodes go down at once (a power cut). Set it to 1 in the "
        "configuration of each node, and at once: SET GLOBAL innodb_flush_log_at_trx_commit = 1"
    ]


def test_check_says_which_server_it_could_not_ask(node, sound):
    nobody = free_port()
    done = command("check", DATABASE_URL=as_url(dataclasses.replace(sound, others=(("127.0.0.1", nobody),))))

    assert done.returncode == 2
    assert done.stdout.splitlines()[1].startswith(
        f"shop on 127.0.0.1:{nobody} could not be asked how it stores what it acknowledges: "
    )
