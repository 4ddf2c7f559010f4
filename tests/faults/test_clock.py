"""A clock that is set an hour forward and two hours back while the shop serves: the shop's own, and its database's.

clock.c is loaded into the process, and puts on each look at the time of day what a file says.
"""

import os
import pathlib
import re
import shutil
import struct
import subprocess
import time
import uuid

import pytest
from helpers import CHECKS, PASSWORD, bearer, eventually, workers
from load import PATIENT, shopping
from receiver import receiving
from test_disk_full import running

from commands.check_data import violations

HOUR = 3600
JUMPS = (HOUR, -HOUR, 0)  # seconds off the true time, one after the other


pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc: clock.c is compiled")


class Clock:
    """Sets the clock of processes that are started with `variables`."""

    def __init__(self, folder):
        library = folder / "clock.so"
        source = pathlib.Path(__file__).with_name("clock.c")
        subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source], check=True)
        self._file = (folder / "clock").open("w+b", buffering=0)
        self.set(0)
        self.variables = {"LD_PRELOAD": str(library), "CLOCK_OFF": self._file.name}

    def set(self, seconds):
        """Set it so many seconds off the true time."""
        os.pwrite(self._file.fileno(), struct.pack("l", seconds), 0)


@pytest.fixture
def clock(tmp_path):
    """A Clock."""
    return Clock(tmp_path)


class Customer:
    """Somebody with an account, who orders and pays."""

    def __init__(self, real, name):
        self.real, self.name = real, name
        account = {"username": name, "password": PASSWORD}
        real.request("/api/users/register", "POST", {**account, "email": f"{name}@example.com"})
        self.tokens = []
        self.log_in()

    def log_in(self):
        """Log in once more; the tokens of before stay valid."""
        answer = self.real.request("/api/users/login", "POST", {"username": self.name, "password": PASSWORD})
        assert answer.status == 200, answer
        self.tokens.append(answer.json["data"]["token"])

    def is_known(self):
        """Return the statuses for all the tokens."""
        return {self.real.request("/api/users/me", **bearer(token)).status for token in self.tokens}

    def buy(self, product):
        """Order and pay; return the order."""
        session = str(uuid.uuid4())

        def key():
            return {**bearer(self.tokens[-1]), "Session-ID": session, "Idempotency-Key": str(uuid.uuid4())}

        line = {"product_id": product, "quantity": 1}
        cart = self.real.request("/api/cart/items", "POST", line, **key())
        assert cart.status == 201, cart
        placed = self.real.request(
            "/api/orders", "POST", {"expected_total": cart.json["data"]["cart"]["total"]}, **key()
        )
        assert placed.status == 201, placed
        number = placed.json["data"]["number"]
        paid = self.real.request(f"/api/orders/{number}/payments", "POST", {"provider": "dummy"}, **key())
        assert (paid.status, paid.json["data"]["status"]) == (201, "captured"), paid
        return number


def test_the_shops_clock_is_set_forth_and_back_and_nobody_notices(serve, sql, products, clock, figure, lag):
    with receiving() as receiver:
        shop = serve(**clock.variables, CHORES="on", WEBHOOKS_PRIVATE="on", **PATIENT)
        assert eventually(lambda: len(workers(shop)) == 3)
        before, customer = workers(shop), Customer(shop, "ada")
        sql("UPDATE users SET role = 'admin'", by_hand=False)
        hook = {"url": receiver.url, "topics": ["order.paid"]}
        assert shop.request("/api/webhooks", "POST", hook, **bearer(customer.tokens[0])).status == 201
        bought, dates, began = [], [], time.monotonic()
        with shopping(shop.url, products, rate=60) as load:
            time.sleep(1)
            for off in JUMPS:
                clock.set(off)
                asked = shop.request("/api/categories")
                dates.append(asked.headers["Date"])
                assert int(asked.headers.get("Age", 0)) <= 5
                bought.append(customer.buy(products[0]))
                customer.log_in()
                assert customer.is_known() == {200}
                time.sleep(1)

        load.audit(sql)
        assert load.failed() == []
        figure("the slowest request while the shop's clock was set", load.took()[-1], "s")
        assert load.took()[-1] < lag.bound(2, since=began)
        hours = [int(re.search(r" (\d\d):", date)[1]) for date in dates]  # the control: its clock has been set
        assert (hours[0] - hours[1]) % 24 == 2
        assert eventually(lambda: {data["number"] for _, data in receiver.events} >= set(bought))
        assert workers(shop) == before and "Traceback" not in shop.log and "level=error" not in shop.log


def test_the_databases_clock_is_set_forth_and_back_and_no_login_cart_or_order_is_lost(tmp_path, serve, clock, figure):
    (tmp_path / "data").mkdir()
    with running(tmp_path / "data", **clock.variables) as database:
        products = [row["id"] for row in database.sql("SELECT id FROM products")]
        shop = serve(database.application, CHORES="on", **PATIENT)
        customer, bought, told = Customer(shop, "ada"), [], []
        with shopping(shop.url, products, rate=60) as load:
            time.sleep(1)
            for off in JUMPS:
                clock.set(off)
                told.append(database.sql("SELECT UNIX_TIMESTAMP() AS now")[0]["now"] - time.time())
                bought.append(customer.buy(products[0]))
                customer.log_in()
                assert customer.is_known() == {200}
                time.sleep(1)

        load.audit(database.sql)
        assert load.failed() == []
        assert [round(off / HOUR) for off in told] == [1, -1, 0]  # the control: its clock has been set
        listed = shop.request("/api/orders", **bearer(customer.tokens[0])).json["data"]["items"]
        assert {order["number"] for order in listed} == set(bought)
        checks = [check for check in CHECKS if "product_words" not in check.body]
        assert [check.path for check, rows in violations(database.owner, checks) if rows] == []
        assert "Traceback" not in shop.log and "level=error" not in shop.log
