"""Old and new shops side by side under load, through a migration that adds a column and one that removes it.

    release   its migration              its files of sql/
    first                                as they are
    second    adds orders.channel        fill it, and read it
    third                                do without it
    fourth    removes it                 do without it

Each step of it is what CONTRIBUTING.md has as the rule. Without the third, shops of the second are asked for a column
that is gone: that is the control.
"""

import contextlib
import shutil
from collections.abc import Callable
from typing import NamedTuple

import pytest
from helpers import RealServer, as_url, command, copy_program, eventually, servers
from load import Load, shopping

from core.db.migrator import Migrator

RATE = 60  # requests a second, of each shop
FILLS = (
    ("note, placed_at, expires_at\n", "note, placed_at, expires_at, channel\n"),
    ("%(expires_at)s\n", "%(expires_at)s, 'web'\n"),
)
READS = (("WHERE o.number = %(number)s", "WHERE o.number = %(number)s AND COALESCE(o.channel, 'web') = 'web'"),)
WITH_CHANNEL = "SELECT COUNT(*) AS n FROM orders WHERE channel = 'web'"
WITHOUT = "SELECT COUNT(*) AS n FROM orders WHERE channel IS NULL"


SETTINGS = {
    "RATE_LIMITS": "off",
    "PAYMENT_PROVIDERS": "manual,dummy",
    "QUEUE_TIMEOUT": "30",  # on a busy machine nothing is refused for that
}


class Shop(NamedTuple):
    """A shop of one release with shoppers of its own; `end()` lets them go first."""

    name: str
    real: RealServer
    load: Load
    end: Callable

    @property
    def is_ready(self):
        """Whether a load balancer would send it requests."""
        return self.real.request("/api/ready").status == 200


@pytest.fixture
def releases(tmp_path, database):
    """The folders of the four; afterwards the schema is as it was."""
    homes = {name: tmp_path / name for name in ("first", "second", "third", "fourth")}
    copy_program(homes["first"])
    version = max(int(path.name[:4]) for path in (homes["first"] / "migrations").glob("*.sql"))
    add, remove = "ALTER TABLE orders ADD COLUMN channel VARCHAR(20) NULL", "ALTER TABLE orders DROP COLUMN channel"
    shutil.copytree(homes["first"], homes["third"])
    migration(homes["third"], version + 1, add, remove)
    for name in ("second", "fourth"):
        shutil.copytree(homes["third"], homes[name])
    edit(homes["second"] / "sql/orders/add.sql", *FILLS)
    edit(homes["second"] / "sql/orders/get.sql", *READS)
    migration(homes["fourth"], version + 2, remove, add)
    yield homes
    Migrator(database.owner, lambda line: None, homes["fourth"] / "migrations").go("up", version)


def migration(home, version, up, down):
    """Add a migration."""
    (home / f"migrations/{version:04}_channel.up.sql").write_text(f"{up};\n")
    (home / f"migrations/{version:04}_channel.down.sql").write_text(f"{down};\n")


def edit(path, *pairs):
    """Replace texts of a file."""
    for old, new in pairs:
        assert old in path.read_text(), path
        path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def serving(tmp_path, releases, database):
    """`serving(name, products)`: a shop of a release, as a context; with products a Shop, else a RealServer."""

    @contextlib.contextmanager
    def begin(name, products=None):
        folder = tmp_path / f"{name}-log"
        folder.mkdir()
        with contextlib.ExitStack() as stack:
            start = stack.enter_context(servers(folder, releases[name]))
            words = ("--workers", "1", "--threads", "8")
            real = start(*words, DATABASE_URL=as_url(database.application), **SETTINGS)
            if products is None:
                yield real
                return
            load = stack.enter_context(shopping(real.url, products, rate=RATE, run=name))
            yield Shop(name, real, load, stack.close)

    return begin


@pytest.fixture
def shop(serving, products):
    """`shop(name)`: a Shop of a release; all are ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda name: stack.enter_context(serving(name, products))


@pytest.fixture
def migrate(releases, database):
    """`migrate(name)`: bring the schema to that of a release, by its own command."""

    def run(name, *words):
        done = command("migrate", *words, home=releases[name], DATABASE_URL=as_url(database.owner))
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def against(releases, old, new):
    """Return the exit status of `check --against`, and what it says."""
    done = command("check", "--against", str(releases[old]), home=releases[new])
    return done.returncode, done.stdout


def test_a_column_comes_and_goes_while_old_and_new_shops_serve_and_no_request_fails(
    shop, migrate, releases, sql, figure, either
):
    def grows(query):
        (before,) = sql(query)
        assert eventually(lambda: sql(query)[0]["n"] >= before["n"] + either(5, 50))

    all_orders = "SELECT COUNT(*) AS n FROM orders"
    first = shop("first")
    grows(all_orders)

    assert against(releases, "first", "second")[0] == 0  # expand
    migrate("second")
    grows(WITHOUT)  # the old shop sells on
    assert first.is_ready
    second = shop("second")
    grows(WITH_CHANNEL)
    grows(WITHOUT)  # side by side
    assert second.is_ready
    first.end()

    assert against(releases, "second", "third")[0] == 0  # deploy
    third = shop("third")
    grows(WITH_CHANNEL)
    grows(WITHOUT)
    second.end()

    assert against(releases, "third", "fourth")[0] == 0  # contract
    migrate("fourth")
    grows(all_orders)
    assert third.is_ready
    fourth = shop("fourth")
    grows(all_orders)
    assert fourth.is_ready
    third.end()
    fourth.end()

    for one in (first, second, third, fourth):
        kept = one.load.audit(sql)
        figure(f"requests to the {one.name} release", kept["requests"])
        figure("the longest of them", one.load.took()[-1], "s")
        assert kept["failures"] == 0 and kept["orders"] and kept["payments"], one.load.statuses


def test_a_column_that_goes_a_release_too_early_is_foretold_and_missed_until_it_is_back(
    serving, migrate, releases, sql
):
    """The control of the test above."""
    migrate("second")
    with serving("second") as real:
        asked = "/api/orders/00000-00000"
        assert real.request(asked).status == 404

        status, said = against(releases, "second", "fourth")
        told = {line.strip().partition(":")[0] for line in said.splitlines()}
        assert status == 1 and {"sql/orders/add.sql", "sql/orders/get.sql"} <= told
        migrate("fourth")
        assert real.request(asked).status == 503

        migrate("fourth", "down", "--yes")
        assert real.request(asked).status == 404
