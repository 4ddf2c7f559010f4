"""Faults: a MariaDB that may be killed or frozen, a proxy before it, and shops on it.

All fixtures of tests/conftest.py that stand on `accounts` (sql, make, start, served, boss) use this MariaDB here. Each
test is short; FAULTS=long makes the long form. What is measured is printed (-s), and added to the file FIGURES, a line
of JSON each.
"""

import pathlib
import shutil
import tempfile

import pytest
from figures import either, figure  # noqa: F401 - fixtures
from helpers import as_url
from load import STOCK
from mortal import Database
from proxy import Proxy

from core.db.migrator import Migrator
from core.db.owner import give_rights
from core.db.statements import Statements
from core.setup import system
from core.setup.embedded import Accounts
from core.setup.system import ROOT

HERE = pathlib.Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Mark all tests of this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("faults")
            item.add_marker("slow")


@pytest.fixture(scope="session")
def mortal():
    """The database of all tests here, migrated; `database` is the same, and sound at the beginning of each test."""
    if not system.program("mariadbd"):
        pytest.skip("needs mariadbd: these tests kill a server of their own")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bodega-test-"))
    database = Database(folder)
    try:
        database.start()
        Migrator(database.owner, say=lambda line: None).up()
        give_rights(database.owner, "shop@%", Statements(ROOT / "sql", more=[ROOT / "reports"]))
        yield database
    finally:
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def accounts(mortal):
    """Its logins."""
    return Accounts(mortal.owner, mortal.application)


@pytest.fixture
def database(mortal, sql):
    """A mortal.Database that runs, with empty tables; after the test it runs again, and its data is checked."""
    yield mortal
    mortal.revive()


@pytest.fixture
def proxy(database):
    """A proxy.Proxy in front of the database."""
    with Proxy(database.port) as between:
        yield between


@pytest.fixture
def serve(start, database):
    """`serve(login=…, *words, **settings)`: a real server; two workers of four threads, if not told otherwise."""

    def begin(login=None, *words, workers=2, threads=4, **settings):
        given = {"RATE_LIMITS": "off", "PAYMENT_PROVIDERS": "manual,dummy", "DATABASE_CONNECTIONS": "100"}
        given |= {"QUEUE_TIMEOUT": "1", **settings}  # as it is where nobody sets it
        url = as_url(login or database.application)
        return start("--workers", str(workers), "--threads", str(threads), *words, DATABASE_URL=url, **given)

    return begin


@pytest.fixture
def products(make):
    """The ids of 50 products, of which there are plenty."""
    return make.products(50, stock=STOCK)
