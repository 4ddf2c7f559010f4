"""What the shop talks to beside its database is down, or takes connections and says nothing: a mail server, the
receiver of a webhook, a Redis. Orders go on as ever; what waits is delivered later. (A payment provider that hangs, or
loses its answers: tests/examples/test_card_provider.py.)
"""

import contextlib
import os
import signal
import socket
import time
import uuid

import pytest
from aiosmtpd.controller import Controller
from helpers import bearer, eventually, free_port
from load import PATIENT, shopping
from receiver import receiving
from test_clock import Customer
from test_outbox_mail import Mailbox

LONG_FORM_TOO = ["down"] if os.environ.get("FAULTS") == "long" else []
DELIVERED = 40  # seconds: an attempt that fails is followed by others after 5 and 20


@contextlib.contextmanager
def away(how, *ports):
    """Let nobody answer at these ports, for as long as the block lasts."""
    with contextlib.ExitStack() as stack:
        if how == "slow":  # connections are taken, by the system
            for port in ports:
                stack.enter_context(socket.create_server(("127.0.0.1", port), backlog=100))
        yield


@pytest.mark.parametrize("how", ["slow", *LONG_FORM_TOO])
def test_while_mail_server_and_webhooks_are_away_orders_go_on_and_all_is_delivered_afterwards(
    how, serve, sql, products, figure, lag
):
    smtp, hooks = free_port(), free_port()
    settings = {"SMTP_URL": f"smtp://127.0.0.1:{smtp}?tls=off", "MAIL_FROM": "shop@example.com"}
    with away(how, smtp, hooks):
        shop = serve(CHORES="on", WEBHOOKS_PRIVATE="on", **settings, **PATIENT)
        admin = Customer(shop, "keeper")
        sql("UPDATE users SET role = 'admin'", by_hand=False)
        hook = {"url": f"http://127.0.0.1:{hooks}/hooks", "topics": ["order.placed"]}
        assert shop.request("/api/webhooks", "POST", hook, **bearer(admin.tokens[0])).status == 201
        began = time.monotonic()
        with shopping(shop.url, products, rate=60, buys=0.5) as load:
            time.sleep(4)
    kept = load.audit(sql)
    waiting = sql("SELECT COUNT(*) AS n FROM outbox WHERE state = 'waiting'")[0]["n"]

    mailbox, back = Mailbox(), time.monotonic()
    controller = Controller(mailbox, "127.0.0.1", smtp)
    controller.start()
    try:
        with receiving(port=hooks) as receiver:
            numbers = {row["number"] for row in sql("SELECT number FROM orders")}
            assert eventually(lambda: {data["number"] for _, data in receiver.events} == numbers, DELIVERED)
            assert eventually(lambda: told(mailbox, numbers) == numbers, DELIVERED)
            figure(f"mail server and webhooks {how}: all is delivered after", time.monotonic() - back, "s")
            assert eventually(lambda: sql("SELECT COUNT(*) AS n FROM outbox WHERE state <> 'delivered'")[0]["n"] == 0)
    finally:
        controller.stop()

    assert load.failed() == []
    figure(f"mail server and webhooks {how}: the slowest request of {kept['requests']}", load.took()[-1], "s")
    assert load.took()[-1] < lag.bound(1, since=began)
    assert waiting >= 2 * kept["orders"] > 0  # the control: nothing could be delivered
    assert "Traceback" not in shop.log


def told(mailbox, numbers):
    """Return the orders of which a mail has come."""
    subjects = " ".join(mail["Subject"] for mail in mailbox.mails)
    return {number for number in numbers if number in subjects}


@pytest.mark.parametrize("how", ["slow", *LONG_FORM_TOO])
def test_while_the_redis_of_the_limits_is_away_orders_go_on(how, serve, sql, products, redis, figure, lag):
    running = redis()
    limits = {"RATE_LIMITS": "on", "RATE_LIMIT_STORAGE": f"redis+unix://{redis.socket}"}
    shop = serve(TRUSTED_PROXIES="127.0.0.1", **limits, **PATIENT)
    order(shop, products[0])
    if how == "down":
        running.kill()
        running.wait()
    else:
        running.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    spent = [order(shop, products[0]) for _ in range(8)]
    if how == "down":
        redis()
    else:
        running.send_signal(signal.SIGCONT)

    figure(f"a Redis that is {how}: the slowest of 8 orders", max(spent), "s")
    assert max(spent) < lag.bound(2, since=began)  # it is asked again every 3 seconds, for 0.5 at the most
    assert sorted(spent)[4] < lag.bound(0.5, since=began)
    shop.wait_for("RATE_LIMIT_STORAGE does not answer; this host counts by itself")
    assert eventually(lambda: order(shop, products[0]) and "RATE_LIMIT_STORAGE answers again" in shop.log, 20)


def order(shop, product):
    """Order a piece as a guest; return the seconds that it took."""
    began = time.monotonic()
    guest = uuid.uuid4()  # from an address of its own: one address orders a few times an hour
    mine = {
        "Session-ID": str(guest),
        "Idempotency-Key": str(guest),
        "X-Forwarded-For": ".".join(map(str, [10, *guest.bytes[:3]])),
    }
    cart = shop.request("/api/cart/items", "POST", {"product_id": product, "quantity": 1}, **mine)
    assert cart.status == 201, cart
    body = {"expected_total": cart.json["data"]["cart"]["total"], "email": "ada@example.com"}
    mine["Idempotency-Key"] = str(uuid.uuid4())
    placed = shop.request("/api/orders", "POST", body, **mine)
    assert placed.status == 201, placed
    return time.monotonic() - began
