"""The reply to a write, or to COMMIT, lost on the way: nothing is done twice, and what may be undone is no success."""

import dataclasses
import random
import time
import uuid

import pytest
from helpers import IN_C, as_url, servers
from load import STOCK, shopping

COMMIT = "^.COMMIT"
RULE = "if session and session.committing and number(error) not in UNDONE:"  # of core/db/database.py


@pytest.fixture
def driver(request):
    """The driver: PyMySQL, if a test does not say otherwise."""
    return getattr(request, "param", "pymysql")


@pytest.fixture
def by_proxy(serve, proxy, database, driver):
    """A real server whose statements go by way of the proxy."""
    return serve(dataclasses.replace(proxy.login(database.application), driver=driver), workers=1, threads=2)


class Customer:
    """Who adds 2 pieces, orders and pays, each with a key; `state()`: pieces in the cart, in orders, and payments."""

    def __init__(self, shop, product, sql):
        self.shop, self.product, self.sql, self.name = shop, product, sql, uuid.uuid4().hex
        self.number = self.opened = None

    def add(self, key=None):
        """Add to the cart."""
        line = {"product_id": self.product, "quantity": 2}
        return self._post("/api/cart/items", line, key, Session_ID=self.name)

    def order(self, key):
        """Order the cart."""
        body = {"expected_total": 20, "email": f"{self.name}@example.com"}
        answer = self._post("/api/orders", body, key, Session_ID=self.name)
        if answer.status == 201:
            self.number, self.opened = answer.json["data"]["number"], answer.json["data"]["access_token"]
        return answer

    def pay(self, key):
        """Pay the order."""
        address = f"/api/orders/{self.number}/payments"
        return self._post(address, {"provider": "dummy"}, key, Order_Token=self.opened)

    def state(self):
        """Return what is stored."""
        cart = "SELECT COALESCE(SUM(quantity), 0) AS n FROM cart_items WHERE session_id = %s"
        ordered = "SELECT COALESCE(SUM(item_count), 0) AS n FROM orders WHERE email = %s"
        paid = (
            "SELECT COUNT(*) AS n FROM payments AS p JOIN orders AS o ON o.id = p.order_id "
            "WHERE o.email = %s AND p.status = 'captured'"
        )
        email = f"{self.name}@example.com"
        asked = ((cart, self.name), (ordered, email), (paid, email))
        return tuple(int(self.sql(text, [who])[0]["n"]) for text, who in asked)

    def _post(self, path, body, key, **headers):
        if key:
            headers["Idempotency_Key"] = key
        return self.shop.request(path, "POST", body, **headers)


BEFORE, AFTER = {"add": (0, 0, 0), "order": (2, 0, 0), "pay": (0, 2, 0)}, {"add": (2, 0, 0), "order": (0, 2, 0)}
AFTER["pay"] = (0, 2, 1)


@pytest.mark.parametrize("step", ["add", "order", "pay"])
def test_each_reply_of_a_write_may_be_lost_and_the_write_is_done_once_or_said_to_be_open(
    by_proxy, proxy, make, sql, step, figure
):
    """Loses the reply to, or the sending of, its first statement, then its second, … until none is left to lose."""
    tea = make.product(price="10.00", stock=1_000_000)
    lost = said_open = 0
    for when in ("before", "after"):
        for nth in range(1, 40):
            customer, key = Customer(by_proxy, tea, sql), str(uuid.uuid4())
            for earlier in ("add", "order")[: ("add", "order", "pay").index(step)]:
                assert getattr(customer, earlier)(str(uuid.uuid4())).status == 201
            cut = proxy.cut(r"(?s).", when, nth=nth)

            answer = getattr(customer, step)(key)

            if not cut.done:  # the write has fewer statements
                proxy.forget(cut)
                assert nth > 2
                break
            lost += 1
            if answer.status == 201:  # all of it was repeated
                assert customer.state() == AFTER[step]
            else:
                said_open += 1
                assert answer.status == 503 and answer.headers["Retry-After"].isdigit()
                assert answer.json["error"]["code"] == "SERVICE_UNAVAILABLE"
                assert customer.state() in (BEFORE[step], AFTER[step])
            assert getattr(customer, step)(key).status == 201  # the same key
            assert customer.state() == AFTER[step], (when, nth)
    figure(f"{step}: replies lost", lost)
    figure(f"{step}: of these answered with 503", said_open)
    assert said_open


@pytest.mark.parametrize("driver", ["pymysql", pytest.param("mysqldb", marks=IN_C)], indirect=True)
def test_a_commit_whose_reply_is_lost_is_no_success_and_one_that_never_arrived_changes_nothing(
    by_proxy, proxy, make, sql
):
    tea = make.product(price="10.00", stock=1_000_000)
    for when, stored in (("before", (0, 0, 0)), ("after", (2, 0, 0))):
        customer = Customer(by_proxy, tea, sql)
        cut = proxy.cut(COMMIT, when)

        answer = customer.add()  # without a key

        assert cut.done and answer.status == 503
        assert "did not confirm" in answer.json["error"]["message"]
        assert customer.state() == stored


def cut_at_random(proxy, seconds, texts=(COMMIT, "cart/", "orders/", "payments/"), whens=("before", "after")):
    """Lose a reply about eight times a second; return how many were lost."""
    dice, until, cuts = random.Random(15), time.monotonic() + seconds, []
    while time.monotonic() < until:
        cuts.append(proxy.cut(dice.choice(texts), dice.choice(whens)))
        time.sleep(0.12)
    return sum(cut.done for cut in cuts)


def test_replies_lost_at_random_under_load_break_no_promise(serve, proxy, database, products, sql, figure, either):
    shop = serve(proxy.login(database.application))

    with shopping(shop.url, products, rate=100, buys=0.6) as load:
        lost = cut_at_random(proxy, either(5, 60))

    kept = load.audit(sql, stock=STOCK)
    figure("replies lost", lost)
    for name, count in kept.items():
        figure(name, count)
    assert lost > 10 and kept["orders"] and kept["payments"]


def test_a_shop_that_repeats_a_commit_applies_writes_twice_and_the_audit_sees_it(
    tmp_path, program_copy, database, proxy, products, sql
):
    """The control: the same faults, and a shop without the rule that nothing is repeated after COMMIT was sent."""
    page = program_copy / "core" / "db" / "database.py"
    text = page.read_text()
    assert text.count(RULE) == 1
    page.write_text(text.replace(RULE, "if False:"))
    with servers(tmp_path, program_copy) as start:
        settings = {"DATABASE_URL": as_url(proxy.login(database.application)), "PAYMENT_PROVIDERS": "manual,dummy"}
        shop = start("--workers", "2", "--threads", "4", RATE_LIMITS="off", **settings)
        with shopping(shop.url, products, rate=100, buys=0.6) as load:
            cut_at_random(proxy, 5, [COMMIT], ["after"])

    with pytest.raises(AssertionError, match=r"[24] pieces of product"):
        load.audit(sql)
