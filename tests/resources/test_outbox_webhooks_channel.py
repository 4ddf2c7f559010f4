"""Webhooks on their way: from a change in the shop to a receiver, which checks them with the official library."""

import base64
import contextlib
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from helpers import LONG, PASSWORD, SECRET, as_url, bearer, eventually, forked, free_port, refuses
from receiver import receiving
from standardwebhooks import Webhook, WebhookVerificationError
from test_outbox_webhooks_posting import handler, tls  # noqa: F401 - a fixture

from core.db.database import Database
from core.db.statements import Statements
from core.logs import Logfmt
from core.setup.system import ROOT
from resources import outbox_webhooks_channel
from resources.outbox_delivery import Delivering
from resources.outbox_webhooks_channel import MOST, Webhooks, signed
from resources.outbox_webhooks_posting import Posting

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def receiver():
    """A receiver without TLS."""
    with receiving() as one:
        yield one


@pytest.fixture
def deliver(accounts, sql):
    """`deliver()`: let the outbox deliver what is due to webhooks, to private addresses too, until nothing is."""
    database = Database(accounts.application, Statements(ROOT / "sql"), 5.0)
    delivering = Delivering({"webhook": Webhooks(SECRET, Posting(private=True, timeout=2))}, delay=lambda attempt: 3600)

    def until_idle(seconds=20):
        deadline = time.monotonic() + seconds
        while delivering.run(database):
            assert time.monotonic() < deadline

    return until_idle


@pytest.fixture
def add(client, root, sql):
    """`add(url, *topics)`: add a webhook whose address is private; return its data."""

    def added(url, *topics):
        body = {"url": "https://erp.example/", "topics": list(topics) or ["product.changed"]}
        data = client.post_json("/api/webhooks", body, headers=root).json["data"]
        sql("UPDATE webhooks SET url = %s WHERE id = %s", [url, data["id"]])
        return data

    return added


def send_test(client, root, webhook):
    """Send the test event; return its id."""
    answer = client.post(f"/api/webhooks/{webhook['id']}/test", headers=root)
    assert answer.status_int == 202, answer.text
    return answer.json["data"]["message_id"]


def outbox_of(client, root):
    """Return (state, attempts, error) of all messages, the oldest first."""
    items = client.get("/api/outbox", headers=root).json["data"]["items"]
    return [(item["state"], item["attempts"], item["error"]) for item in reversed(items)]


def due(sql):
    """Let all that waits be due."""
    sql("UPDATE outbox SET due_at = CURRENT_TIMESTAMP WHERE state = 'waiting'")


def test_the_official_library_accepts_what_arrives(client, root, add, receiver, deliver):
    webhook = add(receiver.url)
    message_id = send_test(client, root, webhook)

    deliver()

    [got] = receiver.got
    event = Webhook(webhook["secret"]).verify(got.body, got.headers)
    assert event == got.event
    assert (event["type"], event["data"]) == ("webhook.test", {"webhook": webhook["id"]})
    assert got.headers["webhook-id"] == message_id
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 5
    assert outbox_of(client, root) == [("delivered", 1, None)]


def test_an_event_has_the_trace_of_the_request_that_led_to_it_and_each_attempt_is_a_span_of_its_own(
    client, root, add, receiver, deliver, sql, caplog
):
    caplog.handler.setFormatter(Logfmt())
    webhook = add(receiver.url)
    receiver.answer = 500
    sent = {**root, "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
    client.post(f"/api/webhooks/{webhook['id']}/test", headers=sent)
    [stored] = [row["traceparent"] for row in sql("SELECT traceparent FROM outbox")]

    deliver()
    due(sql)
    receiver.answer = 204
    deliver()

    spans = [got.headers["traceparent"].split("-") for got in receiver.got]
    assert [(version, id, flags) for version, id, _, flags in spans] == [("00", TRACE_ID, "01")] * 2
    ids = {stored.split("-")[2], *(span for _, _, span, _ in spans), "b7ad6b7169203331"}
    assert len(ids) == 4  # the caller's, the request's, and one of each attempt
    [told] = [line for line in caplog.text.splitlines() if "was not delivered" in line]
    assert told.endswith(f" trace_id={TRACE_ID} span_id={spans[0][2]} parent_id={stored.split('-')[2]}")


def test_an_event_of_a_request_without_a_trace_has_none(client, root, add, receiver, deliver):
    send_test(client, root, add(receiver.url))

    deliver()

    assert ["traceparent" in got.headers for got in receiver.got] == [False]


@pytest.mark.parametrize("part", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_the_official_library_refuses_what_was_changed_on_the_way(client, root, add, receiver, deliver, part):
    webhook, other = add(receiver.url), add(receiver.url)
    send_test(client, root, webhook)
    deliver()
    [got] = receiver.got
    body = got.body + b" " if part == "body" else got.body
    secret = other["secret"] if part == "secret" else webhook["secret"]
    changed = {"webhook-id": "msg_other", "webhook-timestamp": str(int(got.headers["webhook-timestamp"]) + 1)}
    headers = got.headers | ({part: changed[part]} if part in changed else {})

    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


def test_the_signature_is_the_one_of_the_standards_own_example(monkeypatch):
    monkeypatch.setattr(outbox_webhooks_channel.time, "time", lambda: 1614265330.5)
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    assert signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}') == {
        "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "Webhook-Timestamp": "1614265330",
        "Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_same_message_has_the_same_id_at_each_attempt_and_a_new_time(client, root, add, receiver, deliver, sql):
    receiver.answer = 500
    webhook = add(receiver.url)
    message_id = send_test(client, root, webhook)
    deliver()
    assert outbox_of(client, root) == [("waiting", 1, "It answered 500.")]
    receiver.answer = 200
    time.sleep(1.1)

    due(sql)
    deliver()

    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == message_id
    assert first.headers["webhook-timestamp"] < second.headers["webhook-timestamp"]
    assert first.body == second.body
    Webhook(webhook["secret"]).verify(second.body, second.headers)
    assert outbox_of(client, root) == [("delivered", 2, None)]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_delivery(client, root, add, receiver, deliver, status):
    receiver.answer = status
    send_test(client, root, add(receiver.url))

    deliver()

    assert outbox_of(client, root) == [("delivered", 1, None)]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 409, 422, 429, 500, 503])
def test_everything_else_is_tried_again_and_no_redirect_is_followed(client, root, add, receiver, deliver, status):
    to = b"HTTP/1.1 %d Moved\r\nLocation: http://localhost:%d/elsewhere\r\nContent-Length: 0\r\n\r\n"
    receiver.answer = handler(to % (status, receiver.port))
    send_test(client, root, add(receiver.url))

    deliver()

    [(state, attempts, error)] = outbox_of(client, root)
    assert (state, attempts) == ("waiting", 1)
    assert str(status) in error
    assert [got.path for got in receiver.got] == ["/hooks"]


def test_410_turns_the_webhook_off_and_what_waits_goes_out_when_it_is_on_again(
    client, root, add, receiver, deliver, sql, make
):
    receiver.answer = 410
    webhook = add(receiver.url)
    product = make.product()
    path = f"/api/webhooks/{webhook['id']}"

    def stock(change):
        client.post_json(f"/api/products/{product}/stock", {"change": change}, headers=root)

    stock(1), stock(2)
    deliver()
    off = client.get(path, headers=root).json["data"]["is_active"]
    stock(3)  # nobody is told
    due(sql)
    deliver()
    receiver.answer = 200
    assert len(receiver.got) == 1
    client.put_json(path, {"is_active": True}, headers=root)
    stock(4)
    deliver()

    assert off is False
    quantities = [got.event["data"]["stock_quantity"] for got in receiver.got[1:]]
    assert quantities == [11, 13, 20]
    assert {state for state, *_ in outbox_of(client, root)} == {"delivered"}


def test_410_of_an_address_that_was_changed_meanwhile_turns_nothing_off(client, root, add, receiver, deliver, sql):
    webhook = add(receiver.url)

    def gone(request):
        sql("UPDATE webhooks SET url = 'https://new.example/'")
        handler(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")(request)

    receiver.answer = gone
    send_test(client, root, webhook)
    deliver()

    assert client.get(f"/api/webhooks/{webhook['id']}", headers=root).json["data"]["is_active"] is True


def test_after_a_new_secret_what_waits_is_signed_with_it(client, root, add, receiver, deliver, sql):
    receiver.answer = 401
    webhook = add(receiver.url)
    send_test(client, root, webhook)
    deliver()

    renewed = client.post(f"/api/webhooks/{webhook['id']}/secret", headers=root).json["data"]["secret"]
    due(sql)
    deliver()

    before, after = receiver.got
    Webhook(webhook["secret"]).verify(before.body, before.headers)
    Webhook(renewed).verify(after.body, after.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(webhook["secret"]).verify(after.body, after.headers)


def test_an_event_goes_to_each_active_webhook_that_wants_it_under_one_id(client, root, add, receiver, deliver, make):
    first, second = add(receiver.url + "/1"), add(receiver.url + "/2", "order.paid", "product.changed")
    add(receiver.url + "/3", "order.paid")
    off = add(receiver.url + "/4")
    client.put_json(f"/api/webhooks/{off['id']}", {"is_active": False}, headers=root)

    client.post_json(f"/api/products/{make.product()}/stock", {"change": 1}, headers=root)
    deliver()

    assert sorted(got.path for got in receiver.got) == ["/hooks/1", "/hooks/2"]
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    for got in receiver.got:
        Webhook((first if got.path == "/hooks/1" else second)["secret"]).verify(got.body, got.headers)


def test_what_waits_for_a_deleted_webhook_is_removed_however_much_it_is(client, root, add, receiver, deliver, sql):
    webhook = add(receiver.url)
    sql(
        "INSERT INTO outbox (message_id, receiver, topic, payload) "
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 999) "
        "SELECT CONCAT('msg_', a.i, '_', b.i), %s, 'product.changed', '{}' FROM n AS a, n AS b WHERE b.i < 4",
        [f"webhook {webhook['id']}"],
    )

    client.delete(f"/api/webhooks/{webhook['id']}", headers=root)
    assert sql("SELECT COUNT(*) AS n FROM outbox")[0]["n"] == 2997 - 1000
    deliver()

    assert sql("SELECT COUNT(*) AS n FROM outbox")[0]["n"] == 0
    assert receiver.got == []


def test_receivers_that_do_not_answer_hold_up_no_other(client, root, add, receiver, deliver, lag):
    """All but one of as many as there may be."""
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=MOST))
        arrived = threading.Event()
        receiver.answer = lambda request: (arrived.set(), handler(b"HTTP/1.1 204 OK\r\n\r\n")(request))
        slow = [add(f"http://localhost:{silent.getsockname()[1]}/") for _ in range(MOST - 1)]
        for webhook in [*slow, add(receiver.url)]:
            send_test(client, root, webhook)
        began = time.monotonic()
        thread = threading.Thread(target=deliver)
        thread.start()

        assert arrived.wait(LONG)
        assert time.monotonic() - began < lag.bound(1.5, began)  # they are given up after 2 seconds
        thread.join()

    states = [state for state, *_ in outbox_of(client, root)]
    assert states == ["waiting"] * (MOST - 1) + ["delivered"]


@pytest.fixture
def running(start, accounts, sql, tls):  # noqa: F811
    """A real shop with its chores, that trusts our own authority; and an administrator's header."""
    shop = start(
        *("--workers", "1", "--threads", "4"),
        DATABASE_URL=as_url(accounts.application),
        CHORES="on",
        WEBHOOKS_PRIVATE="on",
        PAYMENT_PROVIDERS="manual,dummy",
        SSL_CERT_FILE=str(tls / "ca.pem"),
    )
    account = {"username": "keeper", "password": PASSWORD}
    shop.request("/api/users/register", "POST", {**account, "email": "keeper@example.com"})
    sql("UPDATE users SET role = 'admin'")
    return shop, bearer(shop.request("/api/users/login", "POST", account).json["data"]["token"])


@pytest.fixture
def secure(tls):  # noqa: F811
    """A receiver with TLS."""
    with receiving((tls / "server.pem", tls / "server.key")) as one:
        yield one


def verified(receiver, secret):
    """Return what arrived, in order: (type, data), each checked by the official library."""
    return [(e["type"], e["data"]) for e in (Webhook(secret).verify(got.body, got.headers) for got in receiver.got)]


@pytest.mark.slow
def test_changes_of_a_product_arrive_by_tls_signed_and_in_order(running, secure):
    shop, root = running
    body = {"url": secure.url, "topics": ["product.changed"]}
    secret = shop.request("/api/webhooks", "POST", body, **root).json["data"]["secret"]

    new = {"name": "Desk Lamp", "price": 19.9, "stock_quantity": 3}
    id = shop.request("/api/products", "POST", new, **root).json["data"]["id"]
    shop.request(f"/api/products/{id}", "PUT", {"price": 17.5}, **root)
    shop.request(f"/api/products/{id}/stock", "POST", {"change": 4}, **root)
    shop.request(f"/api/products/{id}", "DELETE", **root)

    assert eventually(lambda: len(secure.got) == 4, 30), shop.log
    told = verified(secure, secret)
    assert [data["action"] for _, data in told] == ["created", "changed", "stock_changed", "withdrawn"]
    assert [data["price"] for _, data in told] == [19.9, 17.5, 17.5, 17.5]
    assert [data["stock_quantity"] for _, data in told] == [3, 3, 7, 7]
    assert [data["is_active"] for _, data in told] == [True, True, True, False]
    assert len({got.headers["webhook-id"] for got in secure.got}) == 4
    assert json.loads(secure.got[0].body)["timestamp"].endswith("Z")


@pytest.fixture
def shopping(running, make):
    """`order()`: place an order of 20.00 as a guest; return its path and the header that opens it."""
    shop, _ = running
    number = iter(range(1000))

    def order():
        session = f"cart-{next(number)}"
        make.cart(session, make.product(price="10.00", stock=5), quantity=2)
        body = {"expected_total": 20, "email": "ada@example.com", "note": "secret"}
        placed = shop.request("/api/orders", "POST", body, Session_ID=session, Idempotency_Key=session)
        assert placed.status == 201, placed.body
        opened = {"Order_Token": placed.json["data"]["access_token"]}
        return f"/api/orders/{placed.json['data']['number']}", opened

    return order


@pytest.mark.slow
def test_the_events_of_orders_arrive_by_tls_signed_and_in_order_and_say_nothing_of_the_person(
    running, secure, shopping
):
    shop, root = running
    topics = [f"order.{what}" for what in ("placed", "paid", "canceled", "refunded", "fulfilled")]
    added = shop.request("/api/webhooks", "POST", {"url": secure.url, "topics": topics}, **root).json["data"]
    sent, opened = shopping()
    canceled, opens = shopping()
    dropped, _ = shopping()
    dummy = {"provider": "dummy"}

    for path, body, headers, status in (
        (f"{sent}/payments", dummy, opened, 201),
        (f"{canceled}/payments", dummy, opens, 201),
        (f"{sent}/fulfil", {"tracking": "1Z"}, root, 200),
        (f"{sent}/refunds", {"amount": 5}, root, 201),
        (f"{sent}/refunds", {"amount": 15}, root, 201),
        (f"{canceled}/cancel", None, opens, 200),
        (f"{dropped}/cancel", None, root, 200),
    ):
        answer = shop.request(path, "POST", body, **headers)
        assert answer.status == status, answer.body

    assert eventually(lambda: len(secure.got) >= 11, 30), shop.log
    told = verified(secure, added["secret"])
    of = {path.rpartition("/")[2]: path for path in (sent, canceled, dropped)}
    states = {path: [] for path in of.values()}
    for topic, data in told:
        states[of[data["number"]]].append(
            (topic, data["status"], data["payment_status"], data["paid"], data["refunded"])
        )
    assert states == {
        sent: [
            ("order.placed", "placed", "unpaid", 0, 0),
            ("order.paid", "placed", "paid", 20, 0),
            ("order.fulfilled", "fulfilled", "paid", 20, 0),
            ("order.refunded", "fulfilled", "partly_refunded", 20, 5),
            ("order.refunded", "fulfilled", "refunded", 20, 20),
        ],
        canceled: [
            ("order.placed", "placed", "unpaid", 0, 0),
            ("order.paid", "placed", "paid", 20, 0),
            ("order.canceled", "canceled", "refunded", 20, 20),
            ("order.refunded", "canceled", "refunded", 20, 20),
        ],
        dropped: [("order.placed", "placed", "unpaid", 0, 0), ("order.canceled", "canceled", "unpaid", 0, 0)],
    }
    assert {frozenset(data) for _, data in told} == {
        frozenset(("number", "status", "payment_status", "currency", "total", "paid", "refunded", "placed_at"))
    }
    assert not any(b"ada" in got.body or b"secret" in got.body for got in secure.got)


@pytest.fixture
def documented(tmp_path, add):
    """The receiver of docs/webhooks.md, as it stands there: (its webhook, what its database has)."""
    [program] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "webhooks.md").read_text("utf-8"), re.S)
    (tmp_path / "receiver.py").write_text(program)
    port = free_port()
    webhook = add(f"http://127.0.0.1:{port}/")
    process = subprocess.Popen(
        [sys.executable, "receiver.py"],
        cwd=tmp_path,
        env={**os.environ, "WEBHOOK_SECRET": webhook["secret"], "PORT": str(port)},
        stderr=subprocess.DEVNULL,
    )
    try:
        assert eventually(lambda: not refuses(port))
        database = sqlite3.connect(tmp_path / "events.db")
        yield webhook, lambda: database.execute("SELECT id, type, body FROM events ORDER BY rowid").fetchall()
        database.close()
    finally:
        process.terminate()
        process.wait()


def test_the_receiver_of_the_documentation_takes_each_message_once(client, root, deliver, documented, sql, make):
    webhook, events = documented
    first = send_test(client, root, webhook)
    client.post_json(f"/api/products/{make.product('Lamp')}/stock", {"change": 1}, headers=root)
    deliver()
    sql("UPDATE outbox SET state = 'waiting', ended_at = NULL, due_at = CURRENT_TIMESTAMP")  # the answers were lost
    deliver()

    assert outbox_of(client, root) == [("delivered", 2, None)] * 2
    assert [(id == first, type) for id, type, _ in events()] == [(True, "webhook.test"), (False, "product.changed")]
    assert json.loads(events()[1][2])["data"]["name"] == "Lamp"


def test_the_receiver_of_the_documentation_refuses_what_has_another_signature(client, root, deliver, documented):
    webhook, events = documented
    client.post(f"/api/webhooks/{webhook['id']}/secret", headers=root)
    send_test(client, root, webhook)
    deliver()

    assert outbox_of(client, root) == [("waiting", 1, "It answered 400.")]
    assert events() == []


@pytest.mark.slow
def test_however_often_what_delivers_is_killed_each_change_arrives_and_in_order(
    accounts, client, root, add, receiver, sql, make
):
    """What is repeated has the same webhook-id. KILL_ROUNDS says how often, and -s shows how it went."""
    seed = int(os.environ.get("KILL_SEED") or random.randrange(10**6))
    chance = random.Random(seed)
    rounds = int(os.environ.get("KILL_ROUNDS", "40"))
    webhook = add(receiver.url)
    product = make.product(stock=0)

    def unreliable(request):
        time.sleep(chance.random() * 0.02)
        answer = chance.choice([b"HTTP/1.1 204 OK\r\n\r\n", b"HTTP/1.1 500 No\r\n\r\n", b""])
        handler(answer)(request)

    def work():
        database = Database(accounts.application, Statements(ROOT / "sql"), 5.0)
        channels = {"webhook": Webhooks(SECRET, Posting(private=True, timeout=2))}
        delivering = Delivering(channels, delay=lambda attempt: 0)
        while True:
            delivering.run(database)
            time.sleep(0.01)

    receiver.answer = unreliable
    for _ in range(rounds):
        child = forked(work)
        for _ in range(3):
            client.post_json(f"/api/products/{product}/stock", {"change": 1}, headers=root)
        time.sleep(chance.random() * 0.4)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        due(sql)  # the lease is over
    receiver.answer = 204
    last = forked(work)
    everything = eventually(lambda: not sql("SELECT id FROM outbox WHERE state = 'waiting' LIMIT 1"), 60)
    os.kill(last, signal.SIGKILL)
    os.waitpid(last, 0)

    assert everything, seed
    told = [(got.headers["webhook-id"], got.event["data"]["stock_quantity"]) for got in receiver.got]
    first_of_each = list(dict.fromkeys(told))
    print(f"seed {seed}: {rounds} kills, {3 * rounds} changes, {len(told)} messages")
    assert [quantity for _, quantity in first_of_each] == list(range(1, 3 * rounds + 1)), seed
    assert [quantity for _, quantity in told] == sorted(quantity for _, quantity in told), seed
    assert len({message_id for message_id, _ in first_of_each}) == 3 * rounds
    for got in receiver.got:
        Webhook(webhook["secret"]).verify(got.body, got.headers)
