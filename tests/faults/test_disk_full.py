"""Full disks: of the database, of its temporary tables, of the log, of what a running shop writes down itself.

A small file system in memory is the disk; making one takes root, or a system that lets users have namespaces.
"""

import contextlib
import functools
import os
import random
import re
import subprocess
import time

import pytest
from helpers import CHECKS, as_url, both_workers, execute, servers, workers
from load import shopping
from mortal import Database

from commands.check_data import violations
from core.db.drivers import DatabaseError, number
from core.db.migrator import Migrator
from core.db.mysql_errors import FILES
from core.db.owner import give_rights
from core.db.statements import Statements
from core.setup.system import ROOT

CANNOT_WRITE = "The database cannot write"
FULL = "No space left|is full"


@contextlib.contextmanager
def mounted(folder, size):
    """Give this folder as a file system in memory of so many MB."""
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "bodega-test", folder], capture_output=True)
    if made.returncode:
        pytest.skip("needs the right to mount a file system in memory (root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def full(folder):
    """Fill the disk of this folder, for as long as the block lasts."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def running(folder, *options, **environment):
    """Give a migrated mortal.Database in this folder; `sql(statement)` runs anything."""
    database = Database(folder)
    try:
        database.start("--innodb-log-file-size=8M", *options, **environment)
        Migrator(database.owner, say=lambda line: None).up()
        give_rights(database.owner, "shop@%", Statements(ROOT / "sql", more=[ROOT / "reports"]))
        database.sql = functools.partial(execute, database.owner)
        database.sql(
            "INSERT INTO products (name, price, stock_quantity) SELECT CONCAT('Product ', seq), 10, 1000000 "
            "FROM seq_1_to_50"
        )
        yield database
    finally:
        database.stop()


def said_once(shop, text):
    """Require that the log has said this, and not for each request."""
    said = shop.log.count(text)
    assert 1 <= said <= 3 * (2 + 1), said  # by two workers and the chores: first, with a count, at the end


def looking(shop, products, seconds):
    """Look at one product after the other; yield the statuses."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield shop.request(f"/api/products/{random.choice(products)}").status


BINARY_LOG = ("--log-bin=bin", "--server-id=1")  # as the shop's own database has one


@pytest.mark.parametrize("options", [BINARY_LOG, *([()] if os.environ.get("FAULTS") == "long" else [])])
def test_where_the_databases_disk_is_full_reading_goes_on_and_writing_is_refused_until_there_is_room(
    options, tmp_path, serve, figure, lag
):
    with mounted(tmp_path / "disk", 200) as disk, running(disk, *options) as database:
        products = [row["id"] for row in database.sql("SELECT id FROM products")]
        shop = serve(database.application, CACHE_TTL="0")
        before = both_workers(shop)
        with shopping(shop.url, products, rate=150, buys=0.9) as load:
            time.sleep(1)
            with full(disk):
                shop.wait_for(FULL)
                known = time.monotonic()
                with pytest.raises(DatabaseError) as refused:  # the control: it is full for everybody
                    database.sql("CREATE TABLE more AS SELECT REPEAT('x', 1000) AS x FROM seq_1_to_1000")
                read = list(looking(shop, products, seconds=4))
            emptied = time.monotonic()
            time.sleep(3)

        load.audit(database.sql)
        assert number(refused.value) in FILES
        failed = [one for one in load.failed(since=known) if one.status == 503]
        last = max(one.at for one in failed) - emptied
        figure("requests refused while the disk was full", len(failed))
        figure("one reader meanwhile: served", read.count(200), f"of {len(read)}")
        figure("the last one that was refused, after there was room again", last, "s")
        assert len(failed) >= 5 and last <= lag.bound(5)  # a COMMIT that waits, and locks that wait for it
        assert set(read) <= {200, 503} and 200 in read  # COMMITs may hold all threads, for 1.8 s each
        assert workers(shop) == before and "Traceback" not in shop.log
        assert 1 <= len(re.findall(FULL, shop.log)) <= 12  # for each worker: first, with a count, the last
        checks = [check for check in CHECKS if "product_words" not in check.body]  # products are there by hand
        assert [check.path for check, rows in violations(database.owner, checks) if rows] == []


def test_where_the_disk_of_temporary_tables_is_full_what_needs_one_is_refused_and_nothing_else(tmp_path, serve):
    words = ("--tmp-memory-table-size=1024", "--tmp-table-size=1024")
    (tmp_path / "data").mkdir()
    with (
        mounted(tmp_path / "disk", 4) as disk,
        running(tmp_path / "data", f"--tmpdir={disk}", *words) as database,
    ):
        shop = serve(database.application, CACHE_TTL="0", COUNT_CACHE_TTL="0")
        search = "/api/products?search=product&sort=price"
        assert shop.request(search).status == 200
        with full(disk):
            with pytest.raises(DatabaseError):  # the control
                database.sql("SELECT DISTINCT REPEAT(name, 500) FROM products, seq_1_to_100 ORDER BY RAND()")
            searched = [shop.request(search) for _ in range(5)]
            others = [shop.request(path).status for path in ("/api/products/1", "/api/ready", "/api/categories") * 5]
        after = shop.request(search)

    refused = {(answer.status, answer.json["error"]["code"], answer.headers["Retry-After"]) for answer in searched}
    assert refused == {(503, "SERVICE_UNAVAILABLE", "10")}
    assert set(others) == {200}
    assert after.status == 200
    said_once(shop, CANNOT_WRITE)


def test_where_the_disk_of_the_log_is_full_the_shop_serves_and_later_says_how_much_it_lacks(tmp_path, database):
    with mounted(tmp_path / "disk", 2) as disk, servers(disk) as start:
        shop = start("--workers", "2", DATABASE_URL=as_url(database.application))
        with full(disk):
            statuses = {shop.request(f"/api/products/{n}").status for n in range(1, 100)}
            size = len(shop.log)
        shop.wait_for("line\\(s\\) of the log were dropped before this one")

        assert statuses == {404}
        assert size < 99 * 100  # the control: not all of it has found room
        assert shop.stop() == 0


def test_where_the_disk_of_data_dir_is_full_the_shop_starts_and_serves_and_nothing_dies(tmp_path, serve):
    with mounted(tmp_path / "disk", 2) as disk, full(disk):
        shop = serve(DATA_DIR=str(disk / "data"))
        before = both_workers(shop)

        statuses = [shop.request(f"/api/products/{n}").status for n in range(1, 30)]

    assert set(statuses) == {404}
    assert workers(shop) == before
    assert re.search("level=warning message=.*server.py top cannot see this server.*No space left", shop.log)
