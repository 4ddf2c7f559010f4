"""Deleting an account leaves its orders without the person; also while one is being placed."""

import json

import pytest
from helpers import PASSWORD, as_url, at_once, bearer, login, register
from test_orders import ADDRESS, key, own_order

PERSON = ("user_id", "email", "shipping_address", "note")


def with_cart(client, make, name="ada"):
    """Register an account whose own cart has a product of 10.00 in it; return its header and its id."""
    id = register(client, name).json["data"]["id"]
    token = bearer(login(client, name))
    session = client.post("/api/cart", headers=token).json["data"]["session_id"]
    line = {"product_id": make.product(price="10.00"), "quantity": 1}
    client.post_json("/api/cart/items", line, headers={**token, "Session-ID": session})
    return token, id


def buy(client, token):
    """Place an order of the own cart, with an address and a note; return the answer."""
    return own_order(client, token["Authorization"].split()[1], 10, shipping_address=ADDRESS, note="Ring twice.")


def delete(client, token, id):
    """Delete an account; return the status."""
    return client.delete(f"/api/users/{id}", headers=token).status_int


def test_its_orders_stay_without_the_person(client, make, root, sql):
    token, id = with_cart(client, make)
    before = buy(client, token).json["data"]
    make.order(number="OTHER-00000", note="Mine.", shipping_address=json.dumps(ADDRESS))

    assert delete(client, token, id) == 200

    after = client.get(f"/api/orders/{before['number']}", headers=root).json["data"]
    assert after == before | {"email": None, "shipping_address": None, "note": None}
    assert sql("SELECT user_id FROM orders WHERE number = %s", [before["number"]]) == [{"user_id": None}]
    assert sql("SELECT email, note FROM orders WHERE number = 'OTHER-00000'") == [
        {"email": "ada@example.com", "note": "Mine."}
    ]


def test_the_mails_that_the_person_got_are_forgotten_and_nobody_elses(client, make, sql):
    token, id = with_cart(client, make)
    for n, (receiver, state) in enumerate(
        (f"{kind} {name}@example.com", state)
        for kind in ("mail", "reset")
        for name in ("ada", "adam")
        for state in ("delivered", "dead")
    ):
        sql(
            "INSERT INTO outbox (message_id, receiver, topic, payload, state) VALUES (%s, %s, 't', '{}', %s)",
            [f"m{n}", receiver, state],
        )

    delete(client, token, id)

    left = sql("SELECT receiver, state FROM outbox ORDER BY id")
    assert [row["receiver"] for row in left] == ["mail adam@example.com"] * 2 + ["reset adam@example.com"] * 2


def test_an_account_that_comes_later_gets_none_of_them(client, make, root):
    token, id = with_cart(client, make)
    number = buy(client, token).json["data"]["number"]
    delete(client, token, id)
    register(client, "ada")
    again = bearer(login(client, "ada"))

    assert client.get("/api/orders", headers=again).json["data"]["items"] == []
    assert client.get(f"/api/orders/{number}", headers=again).status_int == 404
    assert client.get("/api/orders?search=ada@example.com", headers=root).json["data"]["items"] == []


def test_a_deletion_that_is_refused_leaves_the_orders_as_they_were(client, make, wired, sql):
    token, id = with_cart(client, make)
    buy(client, token)
    sql("UPDATE sessions SET created_at = created_at - INTERVAL 1 DAY")

    assert delete(client, token, id) == 403

    assert all(sql(f"SELECT {', '.join(PERSON)} FROM orders")[0].values())


@pytest.mark.parametrize("statement", ["orders/forget", "users/lock", "users/remove"])
def test_an_order_that_is_placed_during_the_deletion_keeps_nobody(client, make, meanwhile, sql, statement):
    token, id = with_cart(client, make)
    placing = meanwhile(statement, lambda: buy(client, token).status_int)

    assert delete(client, token, id) == 200

    assert placing() in (201, 401, 409)
    assert not sql(f"SELECT id FROM orders WHERE COALESCE({', '.join(PERSON)}) IS NOT NULL")


def test_an_account_that_is_deleted_while_it_orders_leaves_nobody_in_the_order(client, make, meanwhile, sql):
    token, id = with_cart(client, make)
    deleting = meanwhile("orders/lock_cart", lambda: delete(client, token, id))

    placed = buy(client, token)

    assert deleting() == 200
    assert placed.status_int in (201, 401, 409)
    assert len(sql("SELECT id FROM orders")) == (placed.status_int == 201)
    assert not sql(f"SELECT id FROM orders WHERE COALESCE({', '.join(PERSON)}) IS NOT NULL")


@pytest.mark.slow
def test_of_orders_and_deletions_at_once_none_keeps_a_person_and_no_piece_is_lost(start, accounts, make, sql):
    """Twenty accounts, each of which orders and is deleted at the same moment."""
    real = start("--workers", "2", DATABASE_URL=as_url(accounts.application), RATE_LIMITS="off")
    product = make.product(price="10.00", stock=100)
    people = []
    for n in range(20):
        account = {"username": f"ada{n}", "email": f"ada{n}@example.com", "password": PASSWORD}
        id = real.request("/api/users/register", "POST", account).json["data"]["id"]
        login = {"username": f"ada{n}", "password": PASSWORD}
        people.append((id, bearer(real.request("/api/users/login", "POST", login).json["data"]["token"])))
        make.cart(f"cart-{n}", product)
        sql("UPDATE carts SET user_id = %s WHERE session_id = %s", [id, f"cart-{n}"])

    def place(token):
        body = {"expected_total": 10, "shipping_address": ADDRESS, "note": "Ring."}
        named = {"Idempotency_Key": key()["Idempotency-Key"], **token}
        return real.request("/api/orders", "POST", body, **named).status

    statuses = []
    for id, token in people:
        jobs = [lambda: place(token), lambda: real.request(f"/api/users/{id}", "DELETE", **token).status]  # noqa: B023
        statuses.append(at_once(jobs))

    placed = [status for status, _ in statuses]
    assert {deleted for _, deleted in statuses} == {200}
    assert set(placed) <= {201, 401, 409}, placed
    assert len(sql("SELECT id FROM orders")) == placed.count(201)
    assert sql("SELECT stock_quantity FROM products") == [{"stock_quantity": 100 - placed.count(201)}]
    assert not sql(f"SELECT id FROM orders WHERE COALESCE({', '.join(PERSON)}) IS NOT NULL")
