"""Paying orders: by hand, by the dummy, in two steps, later by webhook, and never twice."""

import dataclasses
import functools
import ipaddress
import json
import time
import uuid

import pytest
from helpers import PASSWORD, SECRET, SETTINGS, as_url, at_once, bearer, login, register

from core import config
from core.app import app
from core.cli import CommandError
from core.db.database import Database
from core.db.drivers import DatabaseError
from core.db.session import Session
from resources import orders_canceling, orders_paying
from resources.orders_dummy import Dummy
from resources.orders_manual import Manual
from resources.orders_payments import begun
from resources.orders_providers import Outcome, Providers, Refunded, Unavailable

HOOK = "/api/payments/dummy/webhook"
DUMMY = Dummy(SECRET)


def key():
    """Return a new Idempotency-Key."""
    return {"Idempotency-Key": str(uuid.uuid4())}


@pytest.fixture
def paying(client):
    """WebTest on a shop that takes payments by hand and by the dummy, as without a DATABASE_URL."""
    return client


@pytest.fixture
def placed(paying, make):
    """An order of two pieces of one product of five, with its access_token: (number, headers, product)."""
    return place(paying, make)


def place(client, make, session="payment-cart"):
    """Place an order of 20.00."""
    tea = make.product(price="10.00", stock=5)
    make.cart(session, tea, quantity=2)
    body = {"expected_total": 20, "email": "ada@example.com"}
    order = client.post_json("/api/orders", body, headers={"Session-ID": session, **key()}).json["data"]
    return order["number"], {"Order-Token": order["access_token"]}, tea


def pay(client, order, provider="dummy", headers=(), **fields):
    """Begin a payment."""
    number, opened, _ = order
    address = f"/api/orders/{number}/payments"
    return client.post_json(address, {"provider": provider, **fields}, headers={**opened, **dict(headers)})


def look(client, order):
    """Return an order as its customer sees it."""
    number, opened, _ = order
    return client.get(f"/api/orders/{number}", headers=opened).json["data"]


def told(reference, status, at=None, sign=DUMMY.signed):
    """Return a webhook of the dummy: its body and headers."""
    body = json.dumps({"reference": reference, "status": status}).encode()
    id, timestamp = f"msg_{uuid.uuid4().hex}", str(int(time.time() if at is None else at))
    signature = sign(id, timestamp, body)
    return body, {"webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature}


def hear(client, reference, status, **how):
    """Send a webhook of the dummy."""
    body, headers = told(reference, status, **how)
    return client.post(HOOK, body, headers={"Content-Type": "application/json", **headers})


def states(order):
    """Return an order's status and payment_status."""
    return order["status"], order["payment_status"]


def test_an_order_is_paid(paying, placed, sql):
    sql("INSERT INTO webhooks (url, topics, salt) VALUES ('https://a.example', '[\"order.paid\"]', 'salt')")

    paid = pay(paying, placed)

    assert paid.status_int == 201, paid.text
    payment = paid.json["data"]
    assert (payment["provider"], payment["status"], payment["amount"], payment["currency"]) == (
        "dummy",
        "captured",
        20.0,
        "EUR",
    )
    order = look(paying, placed)
    assert states(order) == ("placed", "paid")
    assert (order["paid"], order["refunded"], order["expires_at"]) == (20.0, 0.0, None)
    assert order["payments"] == [payment]
    assert [(event["what"], event["by"], event["amount"]) for event in order["history"]] == [
        ("placed", "customer", None),
        ("paid", "provider", 20.0),
    ]
    assert sql("SELECT topic FROM outbox WHERE topic = 'order.paid'") == [{"topic": "order.paid"}]


def test_a_payment_in_two_steps_is_authorized_and_then_captured(paying, placed):
    assert pay(paying, placed, outcome="authorize").json["data"]["status"] == "captured"
    assert states(look(paying, placed)) == ("placed", "paid")


def test_a_declined_payment_is_a_402_and_another_one_may_follow(paying, placed):
    declined = pay(paying, placed, outcome="decline")

    assert (declined.status_int, declined.json["error"]["code"]) == (402, "PAYMENT_DECLINED")
    assert states(look(paying, placed)) == ("placed", "unpaid")
    assert pay(paying, placed).status_int == 201
    assert [payment["status"] for payment in look(paying, placed)["payments"]] == ["declined", "captured"]


def test_a_paid_order_is_not_paid_again(paying, placed):
    pay(paying, placed)

    refused = pay(paying, placed)

    assert (refused.status_int, refused.json["error"]["code"]) == (409, "ORDER_STATE")
    assert refused.json["error"]["details"] == {"status": "placed", "payment_status": "paid"}


def test_the_same_key_gets_the_stored_answer_also_when_the_order_is_paid(paying, placed):
    named = key()

    first, again = (pay(paying, placed, headers=named) for _ in range(2))

    assert again.status_int == 201 and again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert pay(paying, placed, headers=named, outcome="pay").status_int == 422


def test_a_payment_that_waits_is_paid_by_the_webhook(paying, placed):
    waiting = pay(paying, placed, outcome="later").json["data"]

    assert (waiting["status"], waiting["next_action"]) == ("pending", {"type": "wait"})
    assert states(look(paying, placed)) == ("placed", "pending")
    assert hear(paying, waiting["reference"], "captured").json["data"] == {"known": True}
    order = look(paying, placed)
    assert states(order) == ("placed", "paid")
    assert order["payments"][0]["next_action"] is None


def test_the_same_request_gets_the_payment_that_is_under_way(paying, placed):
    first, second = (pay(paying, placed, outcome="later").json["data"] for _ in range(2))

    assert first == second


def test_another_request_takes_the_place_of_the_payment_that_is_under_way(paying, placed):
    pay(paying, placed, outcome="later")

    assert pay(paying, placed, outcome="pay").json["data"]["status"] == "captured"
    assert [payment["status"] for payment in look(paying, placed)["payments"]] == ["canceled", "captured"]


@pytest.mark.parametrize(
    "events",
    [
        ["captured", "captured"],
        ["captured", "authorized"],
        ["captured", "pending", "declined", "canceled", "captured"],
        ["authorized", "captured"],
        ["pending", "authorized", "authorized", "captured"],
    ],
)
def test_repeated_late_and_reordered_events_change_nothing_twice(paying, placed, sql, events):
    reference = pay(paying, placed, outcome="later").json["data"]["reference"]

    for event in events:
        assert hear(paying, reference, event).status_int == 200

    order = look(paying, placed)
    assert states(order) == ("placed", "paid")
    assert [event["what"] for event in order["history"]] == ["placed", "paid"]
    assert (order["paid"], order["refunded"]) == (20.0, 0.0)
    assert sql("SELECT COUNT(*) AS n FROM refunds") == [{"n": 0}]


def test_a_declined_payment_whose_money_comes_all_the_same_pays_the_order(paying, placed):
    reference = pay(paying, placed, outcome="later").json["data"]["reference"]

    hear(paying, reference, "declined")
    assert states(look(paying, placed)) == ("placed", "unpaid")
    hear(paying, reference, "captured")

    assert states(look(paying, placed)) == ("placed", "paid")


@pytest.mark.parametrize(
    "how",
    [
        {"sign": lambda *_: "v1,AAAA"},
        {"sign": lambda *_: ""},
        {"sign": lambda *_: "v1,ä"},
        {"sign": Dummy("another secret").signed},
        {"at": 0},
        {"at": 4e9},
    ],
)
def test_a_forged_or_old_webhook_is_refused_and_changes_nothing(paying, placed, how):
    reference = pay(paying, placed, outcome="later").json["data"]["reference"]

    refused = hear(paying, reference, "captured", **how)

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, "webhook-signature")
    assert states(look(paying, placed)) == ("placed", "pending")


def test_a_webhook_without_any_signature_is_refused(paying):
    assert paying.post(HOOK, b"{}", headers={"Content-Type": "application/json"}).status_int == 400


def test_a_webhook_of_a_payment_that_is_not_known_yet_is_sent_again(paying):
    assert hear(paying, "dummy-999999", "captured").status_int == 404


@pytest.mark.parametrize("name", ["manual", "acme"])
def test_a_provider_without_webhooks_takes_none(paying, name):
    refused = paying.post(f"/api/payments/{name}/webhook", b"{}", headers={"Content-Type": "application/json"})

    assert refused.status_int in (400, 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "provider"),
        ({"provider": "acme"}, "provider"),
        ({"provider": 7}, "provider"),
        ({"provider": "manual", "outcome": "pay"}, "outcome"),
        ({"provider": "dummy", "outcome": "free"}, "outcome"),
        ({"provider": "dummy", "colour": "red"}, "colour"),
    ],
)
def test_what_is_wrong_with_a_payment_is_named(paying, placed, body, field):
    number, opened, _ = placed

    refused = paying.post_json(f"/api/orders/{number}/payments", body, headers=opened)

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, field)


def test_a_provider_that_is_not_enabled_cannot_be_used(client, wired, make):
    order = place(client, make)
    by_hand = wired(dataclasses.replace(SETTINGS, payment_providers=("manual",)))
    address = f"/api/orders/{order[0]}/payments"
    refused = by_hand.post_json(address, {"provider": "dummy"}, headers=order[1], status="*")

    assert refused.status_int == 400
    assert refused.json["error"]["details"]["issue"] == "Must be one of manual."


def test_nobody_else_can_pay_or_cancel(paying, placed):
    number = placed[0]
    register(paying, "bob")
    for headers in ({}, {"Order-Token": "x" * 22}, bearer(login(paying, "bob"))):
        for path, body in (
            (f"/api/orders/{number}/payments", {"provider": "dummy"}),
            (f"/api/orders/{number}/cancel", {}),
        ):
            assert paying.post_json(path, body, headers=headers).status_int == 404
    assert states(look(paying, placed)) == ("placed", "unpaid")


def test_a_key_gets_no_answer_about_an_order_without_its_token(paying, placed):
    number, opened, _ = placed
    named = key()
    requests = [("payments", {"provider": "dummy"}), ("cancel", {})]

    def ask(path, body, headers):
        return paying.post_json(f"/api/orders/{number}/{path}", body, headers={**headers, **named})

    for path, body in requests:
        assert ask(path, body, opened).status_int in (200, 201)
        assert ask(path, body, opened).headers["Idempotent-Replayed"] == "true"
        assert [ask(path, body, headers).status_int for headers in ({}, {"Order-Token": "x" * 22})] == [404, 404]


def test_a_key_of_a_guest_holds_from_every_address(client, wired, make):
    order = place(client, make)
    shop = wired(dataclasses.replace(SETTINGS, trusted_proxies=(ipaddress.ip_network("10.0.0.1"),)))
    named = key()

    def begin_from(address):
        environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": address}
        headers = {**order[1], **named}
        body = {"provider": "dummy"}
        return shop.post_json(f"/api/orders/{order[0]}/payments", body, headers=headers, extra_environ=environ)

    first, again = begin_from("198.51.100.1"), begin_from("198.51.100.2")

    assert first.json == again.json
    assert again.headers["Idempotent-Replayed"] == "true"


# By hand


def test_an_administrator_says_that_the_money_came(paying, placed, sql):
    register(paying, "keeper")
    sql("UPDATE users SET role = 'admin'")
    root = bearer(login(paying, "keeper"))
    begun = pay(paying, placed, "manual").json["data"]
    number = placed[0]
    address = f"/api/orders/{number}/payments/{begun['id']}/capture"

    assert begun["next_action"] == {"type": "transfer", "purpose": number, "amount": 20.0, "currency": "EUR"}
    assert paying.post(address, headers=placed[1]).status_int == 401
    order = paying.post(address, headers=root).json["data"]

    assert states(order) == ("placed", "paid")
    assert order["history"][-1] | {"at": None} == {"at": None, "what": "paid", "by": "admin", "amount": 20.0}
    assert paying.post(address, headers=root).json["error"]["code"] == "ORDER_STATE"
    assert paying.post(f"/api/orders/{number}/payments/999/capture", headers=root).status_int == 404
    entry = paying.get("/api/audit?entity=order", headers=root).json["data"]["items"][0]
    assert (entry["action"], entry["user_name"], entry["after"]["payment_status"]) == ("captured", "keeper", "paid")


def test_an_order_waits_longer_for_a_transfer(paying, placed, sql):
    pay(paying, placed, "manual")

    [row] = sql("SELECT TIMESTAMPDIFF(DAY, placed_at, expires_at) AS days FROM orders")

    assert row["days"] == 14


# What breaks


class Slow(Dummy):
    """A dummy that answers, or not, as a test says; what it was asked is in `asked`."""

    def __init__(self, database=None, **answers):
        super().__init__(SECRET)
        self.database, self.asked = database, []
        self.answers = {"create": Outcome("captured", "slow-1"), "capture": Outcome("captured"), **answers}

    def _answer(self, call):
        self.asked.append(call)
        answer = self.answers.get(call, Outcome("canceled"))
        answer = answer.pop(0) if isinstance(answer, list) else answer
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def create(self, payment):
        return self._answer("create")

    def capture(self, payment):
        return self._answer("capture")

    def cancel(self, payment):
        return self._answer("cancel")

    def refund(self, payment, refund):
        return self._answer("refund")


@pytest.fixture
def database(paying):
    """The wired shop's database."""
    return next(plugin for plugin in app.plugins if isinstance(plugin, Database))


@pytest.fixture
def begin(database, sql, placed):
    """`begin(provider)`: a new payment by it, which it was not asked for yet; return the payment's id."""

    def make(provider, fields="{}"):
        return database.transaction(lambda db: begun(db, db.one("orders/lock", number=placed[0]), provider, fields))

    return make


def due(sql):
    """Let all that waits be due now."""
    for table in ("payments", "refunds"):
        sql(f"UPDATE {table} SET retry_at = CURRENT_TIMESTAMP - INTERVAL 1 SECOND WHERE retry_at IS NOT NULL")


def test_no_transaction_is_open_while_a_provider_is_called(paying, placed, database, begin, sql, monkeypatch):
    transaction, depth, seen = Database.transaction, [], []

    def counted(*arguments, **options):
        depth.append(True)
        try:
            return transaction(*arguments, **options)
        finally:
            depth.pop()

    def look_around(answer):
        seen.append(len(depth))
        sql("SELECT id FROM orders FOR UPDATE NOWAIT")  # nobody holds the order
        return answer

    monkeypatch.setattr(Database, "transaction", counted)

    slow = Slow(
        create=lambda: look_around(Outcome("authorized", "slow-1")),
        capture=lambda: look_around(Outcome("captured")),
        refund=lambda: look_around(Refunded("done")),
    )
    providers = Providers(slow)

    orders_paying.advance(database, providers, begin(slow))
    paying.post(f"/api/orders/{placed[0]}/cancel", headers=placed[1])
    due(sql)
    orders_paying.reconcile(database, providers)

    assert slow.asked == ["create", "capture"] and seen == [0, 0]


def test_a_provider_that_gives_no_answer_is_asked_again_and_nothing_is_lost(paying, placed, database, begin, sql):
    slow = Slow(create=[Unavailable("down"), RuntimeError("a bug"), Outcome("captured", "slow-1")])
    providers = Providers(slow)
    payment = begin(slow)

    orders_paying.advance(database, providers, payment)
    assert states(look(paying, placed)) == ("placed", "pending")
    assert orders_paying.reconcile(database, providers) is False and slow.asked == ["create"]  # not due yet
    due(sql)
    orders_paying.reconcile(database, providers)
    due(sql)
    orders_paying.reconcile(database, providers)

    assert slow.asked == ["create"] * 3
    assert states(look(paying, placed)) == ("placed", "paid")


def test_the_next_request_goes_on_with_a_payment_whose_process_died(paying, placed, begin):
    begin(DUMMY)  # and nothing more: the process died before the provider was asked

    assert pay(paying, placed).json["data"]["status"] == "captured"
    assert len(look(paying, placed)["payments"]) == 1


def test_a_webhook_goes_on_with_a_payment_whose_process_died(paying, placed, begin, sql):
    payment = begin(DUMMY, '{"outcome": "authorize"}')
    sql("UPDATE payments SET status = 'capturing', reference = 'dummy-1' WHERE id = %s", [payment])

    hear(paying, "dummy-1", "authorized")

    assert states(look(paying, placed)) == ("placed", "paid")


def test_a_capture_that_takes_its_time_is_not_asked_for_in_a_circle(paying, placed, database, begin):
    slow = Slow(create=Outcome("authorized", "slow-1"), capture=Outcome("pending"))

    orders_paying.advance(database, Providers(slow), begin(slow))

    assert slow.asked == ["create", "capture"]


def test_a_payment_of_an_order_that_was_canceled_meanwhile_is_let_go(paying, placed, database, begin):
    def cancel():
        paying.post(f"/api/orders/{placed[0]}/cancel", headers=placed[1])
        return Outcome("authorized", "slow-1")

    slow = Slow(create=cancel)

    orders_paying.advance(database, Providers(slow), begin(slow))

    assert slow.asked == ["create", "cancel"]
    assert look(paying, placed)["payments"][0]["status"] == "canceled"


def test_money_that_comes_too_late_goes_back_and_the_order_stays_canceled(paying, placed, sql):
    reference = pay(paying, placed, outcome="later").json["data"]["reference"]
    paying.post(f"/api/orders/{placed[0]}/cancel", headers=placed[1])

    for _ in range(3):
        hear(paying, reference, "captured")

    order = look(paying, placed)
    assert states(order) == ("canceled", "unpaid")
    assert order["payments"][0]["status"] == "late"
    assert sql("SELECT reason, status, amount FROM refunds") == [
        {"reason": "late", "status": "succeeded", "amount": sql("SELECT total FROM orders")[0]["total"]}
    ]
    assert (order["paid"], order["refunded"]) == (0.0, 0.0)
    assert [event["what"] for event in order["history"]] == ["placed", "canceled", "payment_late"]


def test_of_two_payments_one_wins_and_only_the_other_goes_back(paying, placed, sql):
    first = pay(paying, placed, outcome="later").json["data"]
    pay(paying, placed, outcome="pay")

    hear(paying, first["reference"], "captured")

    order = look(paying, placed)
    assert states(order) == ("placed", "paid")
    assert [payment["status"] for payment in order["payments"]] == ["late", "captured"]
    assert [row["payment_id"] for row in sql("SELECT payment_id FROM refunds")] == [first["id"]]


def test_the_database_itself_refuses_a_second_winner(placed, begin, sql):
    first, second = begin(DUMMY), begin(Manual(1))
    sql("UPDATE payments SET status = 'captured' WHERE id = %s", [first])

    with pytest.raises(DatabaseError):
        sql("UPDATE payments SET status = 'capturing' WHERE id = %s", [second])


def test_the_dummy_is_for_the_private_database_only_unless_it_is_asked_for():
    assert config.load({}, env_file=config.ROOT / "none").payment_providers == ("manual", "dummy")
    elsewhere = {"DATABASE_URL": "mysql://a:b@127.0.0.1/c"}
    assert config.load(elsewhere, env_file=config.ROOT / "none").payment_providers == ("manual",)


def test_a_provider_that_does_not_exist_stops_the_start(wired):
    with pytest.raises(CommandError, match="PAYMENT_PROVIDERS names acme; there are manual, dummy"):
        wired(dataclasses.replace(SETTINGS, payment_providers=("acme",)))


# After the order


def test_canceling_restocks_once_and_gives_back_what_was_paid(paying, placed, sql):
    number, opened, tea = placed
    pay(paying, placed)

    canceled = paying.post(f"/api/orders/{number}/cancel", headers=opened)
    again = paying.post(f"/api/orders/{number}/cancel", headers=opened)

    order = look(paying, placed)
    assert canceled.status_int == 200 and canceled.json["data"] == order
    assert (again.status_int, again.json["error"]["code"]) == (409, "ORDER_STATE")
    assert states(order) == ("canceled", "refunded")
    assert (order["paid"], order["refunded"]) == (20.0, 20.0)
    assert sql("SELECT stock_quantity AS n FROM products WHERE id = %s", [tea]) == [{"n": 5}]
    assert sql("SELECT reason, status FROM refunds") == [{"reason": "canceled", "status": "succeeded"}]
    assert [event["what"] for event in order["history"]] == ["placed", "paid", "canceled", "refunded"]


def test_an_order_that_nobody_pays_expires_once_and_its_pieces_come_back(paying, placed, database, sql):
    pay(paying, placed, outcome="later")

    orders_canceling.expire(database)
    assert states(look(paying, placed)) == ("placed", "pending")
    sql("UPDATE orders SET expires_at = CURRENT_TIMESTAMP - INTERVAL 1 SECOND")
    for _ in range(2):
        orders_canceling.expire(database)

    order = look(paying, placed)
    assert states(order) == ("canceled", "unpaid")
    assert [(event["what"], event["by"]) for event in order["history"]][1:] == [("expired", "shop")]
    assert order["payments"][0]["status"] == "canceled"
    assert sql("SELECT stock_quantity AS n FROM products") == [{"n": 5}]
    assert pay(paying, placed).json["error"]["code"] == "ORDER_STATE"


def test_an_order_whose_money_is_being_taken_does_not_expire(paying, placed, database, begin, sql):
    payment = begin(DUMMY)
    sql("UPDATE payments SET status = 'capturing', reference = 'x' WHERE id = %s", [payment])
    sql("UPDATE orders SET expires_at = CURRENT_TIMESTAMP - INTERVAL 1 SECOND")

    orders_canceling.expire(database)

    assert states(look(paying, placed)) == ("placed", "pending")


def test_orders_whose_money_is_being_taken_do_not_hold_up_the_expiry_of_others(
    paying, make, database, sql, monkeypatch
):
    monkeypatch.setattr(orders_canceling, "BATCH", 2)
    orders = [place(paying, make, f"cart-{n}") for n in range(4)]
    slow = Slow(capture=Unavailable("down"))
    for number, *_ in orders[:2]:
        database.transaction(lambda db, n=number: begun(db, db.one("orders/lock", number=n), slow, "{}"))
    sql("UPDATE payments SET status = 'capturing'")
    sql("UPDATE orders SET expires_at = CURRENT_TIMESTAMP - INTERVAL 1 MINUTE")
    sql("UPDATE orders SET expires_at = CURRENT_TIMESTAMP - INTERVAL 1 HOUR WHERE payment_status = 'pending'")

    more = [orders_canceling.expire(database) for _ in range(2)]

    assert [look(paying, order)["status"] for order in orders] == ["placed", "placed", "canceled", "canceled"]
    assert more[-1] is False  # nor does the chore run without a pause


def test_money_that_comes_too_late_leaves_no_payment_under_way(paying, placed, database, begin):
    slow = Slow(refund=Refunded("done"))
    payment = begin(slow)
    paying.post_json(f"/api/orders/{placed[0]}/cancel", {}, headers=placed[1])

    orders_paying.advance(database, Providers(slow), payment)

    order = look(paying, placed)
    assert [payment["status"] for payment in order["payments"]] == ["late"]
    assert states(order) == ("canceled", "unpaid")


def test_a_transfer_that_came_too_late_is_received_once(paying, placed, keeper, sql):
    payment = pay(paying, placed, "manual").json["data"]
    paying.post_json(f"/api/orders/{placed[0]}/cancel", {}, headers=placed[1])
    address = f"/api/orders/{placed[0]}/payments/{payment['id']}/capture"

    first, again = (paying.post(address, headers=keeper) for _ in range(2))

    assert (first.status_int, again.status_int, again.json["error"]["code"]) == (200, 409, "ORDER_STATE")
    assert sql("SELECT COUNT(*) AS n FROM audit_entries WHERE action = 'captured'") == [{"n": 1}]


@pytest.fixture
def keeper(paying, sql):
    """An administrator's header."""
    register(paying, "keeper")
    sql("UPDATE users SET role = 'admin' WHERE username = 'keeper'")
    return bearer(login(paying, "keeper"))


def refund(client, order, headers, **body):
    """Give something back."""
    return client.post_json(f"/api/orders/{order[0]}/refunds", body, headers=headers)


def test_a_refund_in_parts_is_never_more_than_was_paid(paying, placed, keeper, sql):
    pay(paying, placed)

    part = refund(paying, placed, keeper, amount=5.5, restock=[{"product_id": placed[2], "quantity": 1}])
    too_much = refund(paying, placed, keeper, amount=14.51)
    rest = refund(paying, placed, keeper, amount=14.5)
    over = refund(paying, placed, keeper, amount=0.01)

    assert part.status_int == 201, part.text
    assert (states(part.json["data"]), part.json["data"]["refunded"]) == (("placed", "partly_refunded"), 5.5)
    assert (too_much.status_int, too_much.json["error"]["details"]["field"]) == (400, "amount")
    assert states(rest.json["data"]) == ("placed", "refunded")
    assert over.json["error"]["code"] == "ORDER_STATE"
    assert sql("SELECT stock_quantity AS n FROM products") == [{"n": 4}]
    assert [row["amount"] for row in look(paying, placed)["history"] if row["what"] == "refunded"] == [5.5, 14.5]


@pytest.mark.parametrize(
    "lines",
    [
        [{"product_id": 0, "quantity": 3}],
        [{"product_id": 0, "quantity": 1}, {"product_id": 0, "quantity": 1}],
        [{"product_id": 2_000_000_000, "quantity": 1}],
    ],
)
def test_no_more_pieces_come_back_than_were_bought(paying, placed, keeper, sql, lines):
    pay(paying, placed)
    lines = [line | {"product_id": line["product_id"] or placed[2]} for line in lines]

    refused = refund(paying, placed, keeper, amount=1, restock=lines)

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, "restock")
    assert sql("SELECT stock_quantity AS n FROM products") == [{"n": 3}]
    assert sql("SELECT COUNT(*) AS n FROM refunds") == [{"n": 0}]


def test_what_came_back_before_does_not_come_back_again_when_the_order_is_canceled(paying, placed, keeper, sql):
    pay(paying, placed)
    refund(paying, placed, keeper, amount=5, restock=[{"product_id": placed[2], "quantity": 1}])

    order = paying.post(f"/api/orders/{placed[0]}/cancel", headers=keeper).json["data"]

    assert states(order) == ("canceled", "refunded")
    assert order["history"][-2]["by"] == "admin"
    assert sql("SELECT stock_quantity AS n FROM products") == [{"n": 5}]
    assert [row["amount"] for row in sql("SELECT amount FROM refunds ORDER BY id")] == [5, 15]


@pytest.mark.parametrize("what", ["cancel", "refunds", "capture"])
def test_a_repeated_transaction_that_another_with_its_key_has_overtaken_gets_the_same_answer(
    paying, placed, keeper, monkeypatch, what
):
    number, opened, _ = placed
    body = {"amount": 1} if what == "refunds" else {}
    if what == "capture":
        what = f"payments/{pay(paying, placed, 'manual').json['data']['id']}/capture"
        paying.post_json(f"/api/orders/{number}/cancel", {}, headers=opened)
    else:
        pay(paying, placed)
    headers, answers, deadlocks = {**keeper, **key()}, [], [DatabaseError[0](1213, "Deadlock")]
    run = Session.run

    def ask():
        answers.append(paying.post_json(f"/api/orders/{number}/{what}", body, headers=headers))

    def run_into_a_deadlock(db, name, /, **params):
        if name == "idempotency_keys/store" and deadlocks:
            raise deadlocks.pop()
        return run(db, name, **params)

    monkeypatch.setattr(Session, "run", run_into_a_deadlock)
    monkeypatch.setattr(time, "sleep", lambda _: answers or ask())  # before it is repeated

    ask()

    first, overtaken = answers
    assert first.status_int in (200, 201)
    assert (overtaken.status_int, overtaken.json) == (first.status_int, first.json)


def test_an_unpaid_order_has_nothing_to_give_back(paying, placed, keeper):
    assert refund(paying, placed, keeper, amount=1).json["error"]["code"] == "ORDER_STATE"
    assert refund(paying, ("00000-00000", {}, 0), keeper, amount=1).status_int == 404
    assert refund(paying, placed, placed[1], amount=1).status_int == 401


def test_a_refund_that_the_provider_refuses_counts_as_paid_again(paying, placed, keeper, database, sql):
    pay(paying, placed)
    refund(paying, placed, keeper, amount=5)
    sql("UPDATE refunds SET status = 'new', retry_at = CURRENT_TIMESTAMP")

    orders_paying.reconcile(database, Providers(Slow(refund=Refunded("failed"))))

    order = look(paying, placed)
    assert (states(order), order["refunded"]) == (("placed", "paid"), 0.0)
    assert order["history"][-1]["what"] == "refund_failed"


def test_refunds_at_once_are_never_more_than_was_paid(start, accounts, make, sql):
    shop = start(
        "--workers",
        "2",
        "--threads",
        "4",
        DATABASE_URL=as_url(accounts.application),
        PAYMENT_PROVIDERS="dummy",
        RATE_LIMITS="off",
    )
    account = {"username": "keeper", "password": PASSWORD}
    shop.request("/api/users/register", "POST", {**account, "email": "keeper@example.com"})
    sql("UPDATE users SET role = 'admin'")
    root = bearer(shop.request("/api/users/login", "POST", account).json["data"]["token"])
    make.cart("cart", make.product(price="10.00"))
    named = {"Session_ID": "cart", "Idempotency_Key": "k"}
    order = shop.request("/api/orders", "POST", {"expected_total": 10, "email": "a@example.com"}, **named).json["data"]
    shop.request(f"/api/orders/{order['number']}/payments", "POST", {"provider": "dummy"}, **root)

    jobs = [
        functools.partial(shop.request, f"/api/orders/{order['number']}/refunds", "POST", {"amount": 3}, **root)
    ] * 12
    statuses = sorted(answer.status for answer in at_once(jobs))

    assert statuses == [201] * 3 + [400] * 9
    assert sql("SELECT SUM(amount) AS n FROM refunds") == [{"n": 9}]


def test_a_request_with_a_key_whose_answer_was_lost_gets_the_payment_that_has_paid(paying, placed, sql):
    first = pay(paying, placed, headers=key()).json["data"]
    sql("DELETE FROM idempotency_keys")  # the process died before it stored the answer

    again, other = pay(paying, placed, headers=key()), pay(paying, placed, headers=key(), outcome="pay")

    assert (again.status_int, again.json["data"]) == (201, first)
    assert other.json["error"]["code"] == "ORDER_STATE"
    assert len(look(paying, placed)["payments"]) == 1
