"""A shop that is backed up while it sells, killed with -9, and restored elsewhere up to a second that is chosen."""

import os
import signal
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from helpers import command, eventually, execute, running

from core.setup import embedded
from core.setup.system import program

pytestmark = pytest.mark.skipif(not program("mariadbd"), reason="no mariadbd on this machine")
BUYERS = 4


class Bought(NamedTuple):
    """An order or a payment of it: when it was asked for, and when the answer was there (seconds since 1970)."""

    what: str
    number: str
    asked: float
    told: float


class Buyers:
    """Shoppers who buy one thing after the other, and write down what the shop has said yes to."""

    def __init__(self, shop, products):
        self.shop, self.products = shop, products
        self.bought, self.failed = [], []
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(BUYERS)
        self._work = [self._pool.submit(self._buy, number) for number in range(BUYERS)]

    def _buy(self, buyer):
        for visit in range(100_000):
            if self._over.is_set():
                return
            session = {"Session_ID": f"buyer-{buyer}-{visit}"}
            product = self.products[(visit * BUYERS + buyer) % len(self.products)]
            cart = self._ask("cart", "/api/cart/items", {"product_id": product, "quantity": 1}, **session)
            if not cart:
                continue
            body = {"expected_total": cart["cart"]["total"], "email": "ada@example.com"}
            order = self._ask("order", "/api/orders", body, Idempotency_Key=str(uuid.uuid4()), **session)
            if order:
                mine = {"Order_Token": order["access_token"], "Idempotency_Key": str(uuid.uuid4())}
                paying = f"/api/orders/{order['number']}/payments"
                self._ask("payment", paying, {"provider": "dummy"}, order["number"], **mine)

    def _ask(self, what, path, body, number=None, **headers):
        asked = time.time()
        try:
            answer = self.shop.request(path, "POST", body, **headers)
        except OSError:
            self._over.set()
            return None
        if answer.status not in (200, 201):
            self.failed.append((what, answer.status, answer.body))
            return None
        data = answer.json["data"]
        self.bought.append(Bought(what, number or data.get("number"), asked, time.time()))
        return data

    def stop(self):
        """Wait until they have noticed that the shop is gone."""
        self._over.set()
        self._pool.shutdown()


def kill_all(real, data):
    """Kill the server and its database with -9, as a power cut would."""
    database = int((data / "mariadb.pid").read_text())
    os.kill(database, signal.SIGKILL)
    os.killpg(real.process.pid, signal.SIGKILL)
    real.process.wait()
    assert eventually(lambda: not running(database))


def sold(data):
    """Return the orders of a database that nobody uses: {number: whether it is paid}; and what a stop word finds."""
    with embedded.Embedded(data, tell=lambda line: None) as accounts:
        rows = execute(accounts.owner, "SELECT number, payment_status FROM orders")
    return {row["number"]: row["payment_status"] == "paid" for row in rows}


def missing(bought, there, until):
    """Return what was acknowledged before this moment, and is not there."""
    return [
        one
        for one in bought
        if one.told < until
        and ((one.what == "order" and one.number not in there) or (one.what == "payment" and not there.get(one.number)))
    ]


def too_late(bought, there, until):
    """Return the orders that were asked for after this moment, and are there."""
    return [one for one in bought if one.what == "order" and one.asked >= until and one.number in there]


def run(*words, **variables):
    """Run a command that must succeed; return the seconds that it took."""
    began = time.monotonic()
    done = command(*words, **variables)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - began


def test_a_shop_that_was_killed_is_restored_with_all_that_was_acknowledged_up_to_a_second_and_nothing_later(
    start, tmp_path, figure, either
):
    data, backups = tmp_path / "data", tmp_path / "backups"
    shop = start("--workers", "2", "--threads", "4", DATA_DIR=str(data), RATE_LIMITS="off")
    owner = embedded.DatabaseUrl(embedded.DATABASE, embedded.user(), unix_socket=str((data / "run" / "s").resolve()))
    execute(owner, "UPDATE products SET stock_quantity = 1000000")
    products = [row["id"] for row in execute(owner, "SELECT id FROM products WHERE is_active = 1 LIMIT 100")]
    found = shop.request("/api/products?search=with").json["data"]["pagination"]["total"]

    buyers = Buyers(shop, products)
    time.sleep(1)
    figure("a full backup of a small shop that sells", run("backup", str(backups), DATA_DIR=str(data)), "s")
    seconds = []
    for _ in range(either(1, 5)):
        time.sleep(1.2)
        seconds.append(int(time.time()))
        time.sleep(1.2)
        figure("the logs since", run("backup", str(backups), DATA_DIR=str(data)), "s")
    time.sleep(1)
    failed = list(buyers.failed)
    kill_all(shop, data)
    buyers.stop()
    run("backup", str(backups), DATA_DIR=str(data))  # of what the killed one has left

    assert failed == []
    assert found
    for number, second in enumerate(seconds):
        place = tmp_path / f"restored-{number}"
        to = datetime.fromtimestamp(second, UTC).isoformat()
        figure("restored", run("restore", str(backups), "--to", to, DATA_DIR=str(place)), "s")
        there = sold(place)
        assert missing(buyers.bought, there, second + 1) == []
        assert too_late(buyers.bought, there, second + 1) == []
        assert len(there) > 5 and any(there.values())
        assert missing(buyers.bought, there, time.time())  # the control: what came later is seen not to be there
    run("restore", str(backups), DATA_DIR=str(tmp_path / "all"))
    there = sold(tmp_path / "all")
    assert missing(buyers.bought, there, time.time()) == []
    assert too_late(buyers.bought, there, seconds[0] + 1)  # the control: without --to it is there
    figure("orders and payments acknowledged, of which none is lost", len(buyers.bought))

    again = start("--workers", "1", "--threads", "2", DATA_DIR=str(tmp_path / "restored-0"))
    assert again.request("/api/products?search=with").json["data"]["pagination"]["total"] == found
    assert command("check", "--data", DATA_DIR=str(tmp_path / "restored-0")).returncode == 0
