"""A database that is there and refuses: read-only, another password, another schema, no connection left, a lock.

Each has its answer (a 503 with Retry-After, and reading goes on where it can), its line in the log (not one for each
request), and is over by itself: no restart.
"""

import contextlib
import dataclasses
import itertools
import json
import re
import signal
import threading
import time

import pytest
from helpers import as_url, eventually, execute, servers, workers

from core.db import drivers

PASSWORD = "a-password-of-the-tests"
NUMBERS = itertools.count(1)
READS = ("/api/products/{}", "/api/products?search=product", "/api/categories")


class Shop:
    """A real server that caches nothing, with one product that is asked for and put into carts."""

    def __init__(self, real, product):
        self.real = real
        self.product = product
        assert eventually(lambda: len(workers(real)) == 3)  # two, and the process of the chores
        self.workers = workers(real)
        self.read(), self.write()

    def read(self):
        """Ask for what is only read; return the answers."""
        return [self.real.request(path.format(self.product)) for path in READS]

    def write(self, count=3):
        """Put the product into new carts; return the answers."""
        line = {"product_id": self.product, "quantity": 1}
        names = [f"cart-{next(NUMBERS)}" for _ in range(count)]
        return [self.real.request("/api/cart/items", "POST", line, Session_ID=name) for name in names]

    def recovered_within(self, seconds, lag):
        """Require that all is well after so many seconds at the most, with the same workers."""
        began = time.monotonic()
        while {answer.status for answer in self.write() + self.read()} != {200, 201}:
            assert time.monotonic() - began < lag.bound(seconds, since=began)
            time.sleep(0.02)
        assert self.real.request("/api/ready").status == 200
        assert workers(self.real) == self.workers
        assert "Traceback" not in self.real.log
        return time.monotonic() - began

    def said(self, pattern):
        """Return how many lines of the log match."""
        return len(re.findall(rf"level=(?:warning|error) message=\"[^\n]*{pattern}", self.real.log))


@pytest.fixture
def shop(serve, make):
    """A Shop."""
    product = make.product("Product", stock=1000)
    return Shop(serve(CACHE_TTL="0", COUNT_CACHE_TTL="0", CHORES="on"), product)


def refused(answers, message, retry_after="1"):
    """Require that all are the 503 of the contract, with this message."""
    assert {answer.status for answer in answers} == {503}, answers
    errors = [answer.json["error"] for answer in answers]
    assert {error["code"] for error in errors} == {"SERVICE_UNAVAILABLE"}
    assert all(message in error["message"] for error in errors), errors
    assert {answer.headers["Retry-After"] for answer in answers} == {retry_after}
    assert not any(word in json.dumps(errors) for word in ("1290", "1045", "Access denied", "read-only", "Table"))


def served(answers):
    """Require that all are successes."""
    assert {answer.status for answer in answers} <= {200, 201}, answers


def close_connections(database, login="shop"):
    """Let the database end the connections of this account."""
    rows = execute(database.owner, "SELECT id FROM information_schema.processlist WHERE user = %s", [login])
    for row in rows:
        with contextlib.suppress(drivers.DatabaseError):  # it may have gone
            execute(database.owner, f"KILL {row['id']}")


def test_a_read_only_database_is_read_and_takes_no_change(shop, sql, figure, lag):
    sql("SET GLOBAL read_only = ON", by_hand=False)
    try:
        written, read = shop.write(20), shop.read()
        ready = shop.real.request("/api/ready")
    finally:
        sql("SET GLOBAL read_only = OFF", by_hand=False)

    refused(written, "cannot write just now", "10")
    served([*read, ready])
    figure("a read-only database: all is well again after", shop.recovered_within(1, lag), "s")
    assert 1 <= shop.said("The database cannot write.*--read-only") <= 9


def test_a_password_that_is_changed_while_the_shop_runs_is_a_503_until_it_is_changed_back(
    shop, database, sql, figure, lag
):
    sql("ALTER USER shop@'%' IDENTIFIED BY 'another one'", by_hand=False)
    try:
        close_connections(database)
        asked = [answer for _ in range(10) for answer in shop.write() + shop.read()]
        health = shop.real.request("/api/health")
    finally:
        sql(f"ALTER USER shop@'%' IDENTIFIED BY '{PASSWORD}'", by_hand=False)

    refused(asked, "database does not answer")
    assert health.status == 200
    figure("a changed password: all is well again after", shop.recovered_within(1, lag), "s")
    assert 1 <= shop.said("Access denied for user 'shop'") <= 9
    assert PASSWORD not in shop.real.log


def test_a_new_password_is_taken_from_the_settings_with_sighup(program_copy, tmp_path, database, sql):
    def settings(login):
        (program_copy / ".env").write_text(f"DATABASE_URL={as_url(login)}\nCACHE_TTL=0\n")

    settings(database.application)
    with servers(tmp_path, program_copy) as start:
        real = start("--workers", "1", "--threads", "2")
        sql("ALTER USER shop@'%' IDENTIFIED BY 'another one'", by_hand=False)
        try:
            close_connections(database)
            before = real.request("/api/categories").status
            settings(dataclasses.replace(database.application, password="another one"))
            real.process.send_signal(signal.SIGHUP)
            real.wait_for("All workers are replaced")
            after = real.request("/api/categories").status
        finally:
            sql(f"ALTER USER shop@'%' IDENTIFIED BY '{PASSWORD}'", by_hand=False)

    assert (before, after) == (503, 200)


def test_where_no_connection_is_left_it_is_a_503_until_one_is(shop, database, sql, figure, lag):
    most = sql("SELECT @@max_connections AS n")[0]["n"]
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(contextlib.closing(drivers.connect(database.owner, 5)))
        keeper = drivers.connect(database.owner, 60)  # the one more that an administrator may have
        try:
            run(keeper, "SET GLOBAL max_connections = 10")
            for row in run(keeper, "SELECT id FROM information_schema.processlist WHERE user = 'shop'"):
                run(keeper, f"KILL {row['id']}")
            asked = [answer for _ in range(10) for answer in shop.write() + shop.read()]
        finally:
            run(keeper, f"SET GLOBAL max_connections = {most}")
            keeper.close()

    refused(asked, "database does not answer")
    figure("too many connections: all is well again after", shop.recovered_within(1, lag), "s")
    assert 1 <= shop.said("Too many connections") <= 9


def run(connection, statement):
    """Run a statement; return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def test_an_older_schema_is_a_503_that_says_so_and_is_over_with_the_migration(shop, sql, figure, lag):
    sql("RENAME TABLE cart_items TO cart_items_away", by_hand=False)
    try:
        written, read = shop.write(20), shop.read()
    finally:
        sql("RENAME TABLE cart_items_away TO cart_items", by_hand=False)
    row = sql("SELECT * FROM schema_migrations ORDER BY version DESC LIMIT 1")[0]
    sql("DELETE FROM schema_migrations WHERE version = %s", [row["version"]])
    try:
        ready = shop.real.request("/api/ready")
    finally:
        marks = ", ".join(["%s"] * len(row))
        sql(f"INSERT INTO schema_migrations ({', '.join(row)}) VALUES ({marks})", list(row.values()))

    refused(written, "is being updated", "10")
    served(read)
    assert ready.status == 503 and ready.json["error"]["details"] == {"pending": [row["name"]]}
    figure("an older schema: all is well again after", shop.recovered_within(1, lag), "s")
    assert 1 <= shop.said("The schema is not the one this version needs.*server.py migrate") <= 9


def test_a_newer_schema_is_served_by_the_older_shop(shop, sql, lag):
    sql("INSERT INTO schema_migrations (version, name, checksum, finished_at) VALUES (9000, '9000_next', 'x', NOW())")
    sql("ALTER TABLE products ADD COLUMN of_the_next_version INT NULL", by_hand=False)
    try:
        answers = shop.write() + shop.read() + [shop.real.request("/api/ready")]
    finally:
        sql("ALTER TABLE products DROP COLUMN of_the_next_version", by_hand=False)
        sql("DELETE FROM schema_migrations WHERE version = 9000")

    served(answers)
    shop.recovered_within(1, lag)


def test_who_waits_for_a_lock_gets_a_503_in_time_and_the_others_go_on(shop, database, figure, lag):
    began = time.monotonic()
    with contextlib.closing(drivers.connect(database.owner, 60)) as locking:
        locking.begin()
        run(locking, f"SELECT id FROM products WHERE id = {shop.product} FOR UPDATE")
        answers, spent = [], []

        def wait():
            at = time.monotonic()
            answers.extend(shop.write(1))
            spent.append(time.monotonic() - at)

        waiting = [threading.Thread(target=wait) for _ in range(2)]  # of eight threads: one worker may get both
        for thread in waiting:
            thread.start()
        time.sleep(0.3)
        at = time.monotonic()
        meanwhile = [answer for _ in range(10) for answer in shop.read()]
        others = time.monotonic() - at
        for thread in waiting:
            thread.join()
        locking.rollback()

    refused(answers, "very busy")
    served(meanwhile)
    figure("the longest wait for a lock", max(spent), "s")
    figure("30 reads meanwhile took", others, "s")
    assert max(spent) < lag.bound(3.3, since=began)  # DATABASE_TIMEOUT, and one more wait of a second
    figure("a lock: all is well again after", shop.recovered_within(1, lag), "s")
    assert 1 <= shop.said("The database could not finish: ") <= 9
