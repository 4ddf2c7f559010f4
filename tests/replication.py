"""A primary and a replica of it: two MariaDB servers with real replication, which tests stop, delay and kill."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import tempfile

from helpers import eventually, execute
from mortal import PASSWORD, Database

from core.db.migrator import Migrator
from core.db.owner import give_rights
from core.db.statements import Statements
from core.setup.system import ROOT

LOGGED = ("--log-bin=log", "--binlog-format=ROW", "--gtid-strict-mode=1", "--sync-binlog=0")


class Pair:
    """`primary` and `replica`, each a mortal.Database; `owner` and `application` are logins at the primary."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.primary, self.replica = (Database(_made(folder / name)) for name in ("primary", "replica"))
        driver = os.environ.get("TEST_DRIVER", self.primary.owner.driver)
        self.owner, self.application = (
            dataclasses.replace(login, driver=driver) for login in (self.primary.owner, self.primary.application)
        )

    def start(self) -> None:
        """Start both, fill the schema, and let the replica follow."""
        self.primary.start(*LOGGED, "--server-id=1")
        Migrator(self.owner, say=lambda line: None).up()
        give_rights(self.owner, "shop@%", Statements(ROOT / "sql", more=[ROOT / "reports"]))
        self.start_replica()
        place = f"MASTER_HOST = '127.0.0.1', MASTER_PORT = {self.primary.port}, MASTER_USER = 'owner'"
        execute(self.replica.owner, "RESET MASTER")
        execute(self.replica.owner, f"CHANGE MASTER TO {place}, MASTER_PASSWORD = '{PASSWORD}', "
                "MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1")  # fmt: skip
        self.follow()

    def start_replica(self) -> None:
        """Start the replica's server; it goes on to follow, if it has before."""
        self.replica.start("--server-id=2", "--read-only", *LOGGED, "--slave-parallel-threads=4")

    def stop(self) -> None:
        """Stop both."""
        self.replica.stop()
        self.primary.stop()

    @property
    def login(self):
        """The shop's login at the replica."""
        return dataclasses.replace(self.application, port=self.replica.port)

    def follow(self, delay: int = 0) -> None:
        """Let the replica follow, so many seconds behind."""
        self.hold()
        execute(self.replica.owner, f"CHANGE MASTER TO MASTER_DELAY = {delay}")
        self.go_on()
        if not delay:
            self.catch_up()

    def hold(self) -> None:
        """Let the replica stay as it is; it does not say so."""
        execute(self.replica.owner, "STOP SLAVE")

    def go_on(self) -> None:
        """Let the replica follow again."""
        execute(self.replica.owner, "START SLAVE")

    def catch_up(self) -> None:
        """Wait until the replica has all that is stored now."""
        place = execute(self.owner, "SELECT @@gtid_binlog_pos AS place")[0]["place"]
        assert execute(self.replica.owner, "SELECT MASTER_GTID_WAIT(%s, 60) AS late", [place])[0]["late"] == 0

    def mend(self) -> None:
        """Let both run, and the replica follow, whatever was done."""
        self.primary.revive()
        if self.replica.process.poll() is None:
            self.replica.thaw()
        else:
            self.start_replica()
        assert eventually(lambda: execute(self.replica.owner, "SELECT 1 AS one"))
        self.follow()


def _made(folder: pathlib.Path) -> pathlib.Path:
    folder.mkdir()
    return folder


@contextlib.contextmanager
def pair():
    """Give a Pair that runs."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bodega-test-"))
    made = Pair(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
