"""Fulfilling orders, through the wired shop; races with real threads."""

import json

import pytest
from helpers import at_once, bearer, login, register
from test_orders import key

from resources.orders_rules import PAYMENT_STATUSES, STATUSES

NUMBER = "00000-AAAAA"
PATH = f"/api/orders/{NUMBER}"


@pytest.fixture
def paid(make):
    """A paid order; return its id."""
    return make.order((7, 2, "10.00"), number=NUMBER, payment_status="paid")


def test_a_paid_order_is_fulfilled_and_its_customer_sees_it(client, paid, root, sql):
    done = client.post_json(f"{PATH}/fulfil", {"tracking": "1Z 999"}, headers=root)

    data = done.json["data"]
    assert done.status_int == 200, done.text
    assert (data["status"], data["payment_status"], data["tracking"]) == ("fulfilled", "paid", "1Z 999")
    assert [(e["what"], e["by"], e["amount"]) for e in data["history"]][-1] == ("fulfilled", "admin", None)
    assert client.get(PATH, headers=root).json["data"] == data


def test_it_needs_no_body(client, paid, root):
    assert client.post(f"{PATH}/fulfil", headers=root).json["data"]["tracking"] is None


@pytest.mark.parametrize("payment_status", PAYMENT_STATUSES)
@pytest.mark.parametrize("status", STATUSES)
def test_only_a_placed_order_that_is_paid_can_be_fulfilled(client, make, root, sql, status, payment_status):
    make.order(number=NUMBER, status=status, payment_status=payment_status)

    answer = client.post(f"{PATH}/fulfil", headers=root)

    if status == "placed" and payment_status in ("paid", "partly_refunded"):
        assert answer.status_int == 200
        return
    assert (answer.status_int, answer.json["error"]["code"]) == (409, "ORDER_STATE")
    assert answer.json["error"]["details"] == {"status": status, "payment_status": payment_status}
    assert sql("SELECT status FROM orders") == [{"status": status}]
    for table in ("order_history", "outbox", "audit_entries"):
        assert not sql(f"SELECT id FROM {table}")


def test_the_audit_trail_has_who_did_it_and_nothing_of_the_customer(client, paid, root, sql):
    client.post_json(f"{PATH}/fulfil", {"tracking": "1Z 999"}, headers=root)

    [entry] = client.get("/api/audit?entity=order", headers=root).json["data"]["items"]

    before = {"number": NUMBER, "status": "placed", "payment_status": "paid", "paid": 20.0, "refunded": 0.0}
    assert (entry["user_name"], entry["entity_id"], entry["action"]) == ("keeper", paid, "fulfilled")
    assert (entry["before"], entry["after"]) == (before, before | {"status": "fulfilled"})


def test_the_audit_trail_is_asked_by_the_number_of_an_order(client, paid, make, root):
    make.order(number="00000-BBBBB", payment_status="paid")
    for number in (NUMBER, "00000-BBBBB"):
        client.post(f"/api/orders/{number}/fulfil", headers=root)

    def told(query):
        return [e["before"]["number"] for e in client.get(f"/api/audit?{query}", headers=root).json["data"]["items"]]

    assert told(f"order={NUMBER}") == told(f"order={NUMBER.lower()}&entity=order") == [NUMBER]
    assert told("order=ZZZZZ-ZZZZZ") == told(f"order={NUMBER}&entity=product") == []
    assert told(f"order={NUMBER}&entity_id=2147483647") == []
    refused = client.get("/api/audit?order=7", headers=root)
    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, "order")


def test_webhooks_are_told_in_the_same_transaction(client, paid, root, sql):
    sql("INSERT INTO webhooks (url, topics, salt) VALUES ('https://a.example', '[\"order.fulfilled\"]', 'salt')")

    client.post(f"{PATH}/fulfil", headers=root)

    [row] = sql("SELECT topic, payload FROM outbox")
    data = json.loads(row["payload"])["data"]
    assert (row["topic"], data["number"], data["status"]) == ("order.fulfilled", NUMBER, "fulfilled")
    assert "@" not in row["payload"]


@pytest.mark.parametrize("tracking", ["", " ", "x" * 201, "a\nb", 7, ["x"]])
def test_a_tracking_number_is_one_line_of_text(client, paid, root, tracking):
    refused = client.post_json(f"{PATH}/fulfil", {"tracking": tracking}, headers=root)

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, "tracking")


def test_it_is_for_administrators(client, paid, sql):
    register(client, "ada")

    assert client.post(f"{PATH}/fulfil").status_int == 401
    assert client.post(f"{PATH}/fulfil", headers=bearer(login(client, "ada"))).status_int == 403
    assert sql("SELECT status FROM orders") == [{"status": "placed"}]


@pytest.mark.parametrize("number", ["ZZZZZ-ZZZZZ", "7", "x" * 300])
def test_an_unknown_number_is_not_found(client, root, number):
    assert client.post(f"/api/orders/{number}/fulfil", headers=root).status_int == 404


def test_with_the_same_key_it_happens_once_and_answers_the_same(client, paid, root, sql):
    headers = {**root, **key()}

    first, again = (client.post_json(f"{PATH}/fulfil", {"tracking": "1Z"}, headers=headers) for _ in range(2))

    assert first.json == again.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(sql("SELECT id FROM order_history")) == 1


def test_of_many_at_once_one_fulfils_and_the_others_are_too_late(boss, paid, sql):
    real, headers = boss

    answers = at_once(
        [lambda n=n: real.request(f"{PATH}/fulfil", "POST", {"tracking": f"T{n}"}, **headers) for n in range(12)]
    )

    assert sorted(answer.status for answer in answers) == [200] + [409] * 11
    [won] = [answer.json["data"] for answer in answers if answer.status == 200]
    assert sql("SELECT tracking FROM orders") == [{"tracking": won["tracking"]}]
    for table in ("order_history", "audit_entries"):
        assert len(sql(f"SELECT id FROM {table}")) == 1


def test_of_fulfilling_and_canceling_at_once_one_happens_and_the_other_is_too_late(boss, make, sql):
    """Thirty paid orders, each fulfilled and canceled twice at the same moment."""
    real, headers = boss
    tea = make.product(price="10.00", stock=0)
    orders = [make.order((tea, 2, "10.00"), number=f"{n:05}-AAAAA", payment_status="paid") for n in range(30)]
    for id in orders:
        payment = "(order_id, provider, reference, status, amount, currency)"
        sql(f"INSERT INTO payments {payment} VALUES (%s, 'dummy', %s, 'captured', 20, 'EUR')", [id, f"dummy-{id}"])

    def ask(n, action):
        return real.request(f"/api/orders/{n:05}-AAAAA/{action}", "POST", **headers).status

    answers = at_once([lambda n=n, a=a: ask(n, a) for n in range(30) for a in ("fulfil", "cancel", "cancel")])

    for n, id in enumerate(orders):
        fulfilled, *canceled = answers[3 * n : 3 * n + 3]
        assert sorted([fulfilled, *canceled]) == [200, 409, 409]
        [row] = sql("SELECT status, payment_status, refunded FROM orders WHERE id = %s", [id])
        history = [row["what"] for row in sql("SELECT what FROM order_history WHERE order_id = %s ORDER BY id", [id])]
        refunds = sql("SELECT amount, status FROM refunds WHERE order_id = %s", [id])
        if fulfilled == 200:
            assert (row["status"], row["payment_status"], row["refunded"]) == ("fulfilled", "paid", 0)
            assert (history, len(refunds)) == (["fulfilled"], 0)
        else:
            assert (row["status"], row["payment_status"], row["refunded"]) == ("canceled", "refunded", 20)
            assert (history, [refund["amount"] for refund in refunds]) == (["canceled", "refunded"], [20])
    canceled = sum(answer == 200 for answer in answers) - sum(answers[n] == 200 for n in range(0, 90, 3))
    assert sql("SELECT stock_quantity FROM products") == [{"stock_quantity": 2 * canceled}]
