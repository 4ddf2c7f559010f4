"""Orders under load and violence: real processes, many buyers at once, and kill -9. What is sold is sold once."""

import collections
import contextlib
import dataclasses
import functools
import http.client
import os
import pathlib
import random
import shutil
import signal
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import LONG, as_url, at_once, execute, workers

from core.db.migrator import Migrator
from core.setup.embedded import Embedded

BUYERS, PIECES = 1000, 100
SPREAD = 50  # products that kill -9 is tried with


@pytest.fixture
def open_shop(start, accounts, sql):
    """A real server with two workers, on the tests' database, without limits for one address."""
    return start(
        "--workers", "2", "--threads", "4", DATABASE_URL=as_url(accounts.application), RATE_LIMITS="off", CHORES="off"
    )


def body(total):
    """Return what a guest sends."""
    return {"expected_total": total, "email": "ada@example.com"}


def conserved(sql):
    """Return the pieces of each product that are in stock, or in an order and not restocked."""
    return {
        row["id"]: row["n"]
        for row in sql(
            "SELECT p.id, p.stock_quantity + COALESCE(SUM(i.quantity - i.restocked), 0) AS n FROM products AS p "
            "LEFT JOIN order_items AS i ON i.product_id = p.id GROUP BY p.id, p.stock_quantity"
        )
    }


@pytest.mark.slow
def test_a_thousand_buyers_at_once_of_a_hundred_pieces_buy_exactly_a_hundred(open_shop, make, sql):
    tea = make.product(price="10.00", stock=PIECES)
    sessions = [f"buyer-{number}" for number in range(BUYERS)]
    rows = ", ".join(["(%s, 1)"] * BUYERS)
    sql(f"INSERT INTO carts (session_id, version) VALUES {rows}", sessions)
    sql(
        "INSERT INTO cart_items (session_id, product_id, quantity, price_when_added) SELECT session_id, %s, 1, 10.00 "
        "FROM carts",
        [tea],
    )

    def buy(session):
        named = {"Session_ID": session, "Idempotency_Key": str(uuid.uuid4())}
        return open_shop.request("/api/orders", "POST", body(10), timeout=LONG, **named).status

    statuses = collections.Counter(at_once([functools.partial(buy, session) for session in sessions]))

    print(f"{BUYERS} buyers of {PIECES} pieces: {dict(statuses)}")
    assert set(statuses) <= {201, 409, 503}, statuses
    [sold] = sql("SELECT COUNT(*) AS orders, COALESCE(SUM(item_count), 0) AS pieces FROM orders")
    assert sold["orders"] == statuses[201]
    if statuses[503] == 0:  # who was shed may try again, and then buys the rest
        assert statuses[201] == PIECES
    while sql("SELECT stock_quantity AS n FROM products")[0]["n"]:
        left = [row["session_id"] for row in sql("SELECT DISTINCT session_id FROM cart_items")]
        at_once([functools.partial(buy, session) for session in left[:50]])
    assert sql("SELECT COUNT(*) AS n, SUM(item_count) AS m FROM orders") == [{"n": PIECES, "m": PIECES}]
    assert conserved(sql) == {tea: PIECES}


# kill -9


class Database:
    """A private MariaDB that is killed and started again; its address stays."""

    def __init__(self, folder):
        self._folder = folder
        self._embedded = Embedded(folder, tell=lambda line: None)
        accounts = self._embedded.__enter__()
        self.url = dataclasses.replace(accounts.owner, unix_socket=str(folder / "run" / "s"))

    def kill(self):
        """Kill it, and start it again."""
        self._embedded.process.kill()
        self._embedded.process.wait()
        self.stop()
        self._embedded = Embedded(self._folder, tell=lambda line: None)
        self._embedded.__enter__()

    def stop(self):
        """Stop it in order, if it still runs."""
        self._embedded.__exit__()


@pytest.fixture
def mortal():
    """A database that a test may kill, migrated."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bodega-test-"))  # its socket's name has to be short
    database = Database(folder)
    try:
        Migrator(database.url, say=lambda line: None).up()
        yield database
    finally:
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_after_kill_9_of_a_worker_or_the_database_each_order_is_there_once(mortal, start):
    """KILL_ROUNDS=200 makes a longer run, KILL_SEED repeats one."""
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(2**32)))
    rounds = int(os.environ.get("KILL_ROUNDS", "15"))
    print(f"KILL_SEED={seed} KILL_ROUNDS={rounds}")
    dice = random.Random(seed)
    settings = {"DATABASE_URL": as_url(mortal.url), "RATE_LIMITS": "off", "CHORES": "off"}
    shops = [start("--workers", "1", "--threads", "4", **settings) for _ in range(6)]
    sql = functools.partial(execute, mortal.url)
    for number in range(SPREAD):
        sql("INSERT INTO products (name, price, stock_quantity) VALUES (%s, 10.00, 1000)", [f"Product {number}"])
    products = [row["id"] for row in sql("SELECT id FROM products")]
    placed, repeated, killed, shot = {}, 0, collections.Counter(), {}

    def buy(shop, session):
        """Order until it is answered; return how often it was asked for, and the number of the order."""
        named = {"Session_ID": session, "Idempotency_Key": session}
        for attempt in range(1, 1000):
            with contextlib.suppress(OSError, http.client.HTTPException):  # the worker was killed
                answer = shop.request("/api/orders", "POST", body(20), **named)
                if answer.status == 201:
                    return attempt, answer.json["data"]["number"]
                assert answer.status == 503 or answer.json["error"]["code"] == "IN_PROGRESS", answer.body
            time.sleep(0.05)
        raise AssertionError(f"{session} is never answered; the shop says:\n{shop.log[-2000:]}")

    for turn in range(rounds):
        shop = shops[turn % len(shops)]
        time.sleep(max(0, shot.get(shop, 0) + 3 - time.monotonic()))  # one whose workers die too often gives up
        shot[shop] = time.monotonic()
        sessions = [f"buyer-{turn}-{number}" for number in range(6)]
        for session in sessions:
            sql("INSERT INTO carts (session_id, version) VALUES (%s, 1)", [session])
            for product in sorted(dice.sample(products, 2)):
                line = "INSERT INTO cart_items (session_id, product_id, quantity) VALUES (%s, %s, 1)"
                sql(line, [session, product])
        kill_database, pause = dice.random() < 0.15, dice.uniform(0, 0.12)
        with ThreadPoolExecutor(len(sessions)) as pool:
            buying = [pool.submit(buy, shop, session) for session in sessions]
            time.sleep(pause)
            if kill_database:
                mortal.kill()
            else:
                for worker in workers(shop):
                    os.kill(worker, signal.SIGKILL)
            killed["database" if kill_database else "worker"] += 1
            for session, bought in zip(sessions, buying, strict=True):
                attempts, placed[session] = bought.result()
                repeated += attempts > 1

    print(f"{len(placed)} orders, {repeated} of them asked for again, {dict(killed)} killed")
    assert sorted(placed.values()) == sorted(row["number"] for row in sql("SELECT number FROM orders"))
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 0}]
    assert set(conserved(sql).values()) == {1000}
    assert sql("SELECT SUM(quantity) AS n FROM order_items") == [{"n": 2 * len(placed)}]
    assert sql("SELECT COUNT(DISTINCT payload) AS n FROM outbox WHERE topic = 'order_placed'") == [{"n": len(placed)}]
    assert repeated > 0
