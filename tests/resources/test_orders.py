"""Placing orders, and looking at one."""

import functools
import json
import re
import uuid
from decimal import Decimal

import pytest
from helpers import at_once, bearer, login, register

from core.db.session import Session
from core.setup.system import ROOT

SESSION = "order-cart"
ADDRESS = {"name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "country": "GB"}


def key():
    """Return a new Idempotency-Key."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def order(client, total, session=SESSION, headers=(), **body):
    """Place an order of a guest's cart."""
    named = {**key(), **({"Session-ID": session} if session else {}), **dict(headers)}
    return client.post_json("/api/orders", {"expected_total": total, "email": "ada@example.com", **body}, headers=named)


def own_order(client, token, total, **body):
    """Place an order of an account's own cart."""
    return client.post_json("/api/orders", {"expected_total": total, **body}, headers={**key(), **bearer(token)})


def stock(sql, *products):
    """Return the stock of these products."""
    found = {row["id"]: row["stock_quantity"] for row in sql("SELECT id, stock_quantity FROM products")}
    return [found[product] for product in products]


@pytest.fixture
def filled(make):
    """Two products of 10.00 and 2.50, and a cart with two of each; return their ids."""
    tea, cup = make.product("Tea", price="10.00", stock=5), make.product("Cup", price="2.50", stock=5)
    make.cart(SESSION, tea, cup, quantity=2)
    return tea, cup


def test_an_order_copies_the_cart_takes_the_stock_and_empties_the_cart(client, filled, sql):
    tea, cup = filled

    placed = order(client, 25, shipping_address=ADDRESS, note="Please ring twice.")

    data = placed.json["data"]
    assert placed.status_int == 201, placed.text
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}", data["number"])
    assert placed.headers["Location"] == f"/api/orders/{data['number']}"
    assert data["items"] == [
        {"product_id": tea, "name": "Tea", "unit_price": 10.0, "quantity": 2, "line_total": 20.0},
        {"product_id": cup, "name": "Cup", "unit_price": 2.5, "quantity": 2, "line_total": 5.0},
    ]
    assert (data["status"], data["payment_status"], data["currency"], data["total"]) == (
        "placed",
        "unpaid",
        "EUR",
        25.0,
    )
    assert (data["email"], data["shipping_address"], data["note"]) == ("ada@example.com", ADDRESS, "Please ring twice.")
    assert [(event["what"], event["by"]) for event in data["history"]] == [("placed", "customer")]
    assert stock(sql, tea, cup) == [3, 3]
    assert client.get("/api/cart", headers={"Session-ID": SESSION}).json["data"]["items"] == []


def test_what_is_placed_is_what_is_read_later_but_for_the_token(client, filled):
    placed = order(client, 25, shipping_address=ADDRESS).json["data"]

    token = placed.pop("access_token")

    assert client.get(f"/api/orders/{placed['number']}", headers={"Order-Token": token}).json["data"] == placed


def test_an_order_stays_as_it_was_when_its_products_change(client, filled, sql):
    placed = order(client, 25).json["data"]
    opened = {"Order-Token": placed["access_token"]}

    sql("UPDATE products SET name = 'Other', price = 99, is_active = 0")

    assert client.get(f"/api/orders/{placed['number']}", headers=opened).json["data"]["items"] == placed["items"]


def test_it_expires_after_order_hold(client, filled, sql):
    order(client, 25)

    [row] = sql("SELECT TIMESTAMPDIFF(SECOND, placed_at, expires_at) AS hold FROM orders")

    assert row["hold"] == 30 * 60


def test_another_total_than_the_customer_saw_changes_nothing_and_shows_the_cart(client, filled, sql):
    tea, cup = filled
    sql("UPDATE products SET price = 11 WHERE id = %s", [tea])
    before = client.get("/api/cart", headers={"Session-ID": SESSION})

    refused = order(client, 25)

    assert (refused.status_int, refused.json["error"]["code"]) == (409, "CART_CHANGED")
    assert refused.json["error"]["details"]["cart"] == before.json["data"]
    assert refused.json["error"]["details"]["cart"]["total"] == 27.0
    assert stock(sql, tea, cup) == [5, 5]
    assert sql("SELECT COUNT(*) AS n FROM orders")[0]["n"] == 0
    assert client.get("/api/cart", headers={"Session-ID": SESSION}).json["data"] == before.json["data"]
    assert order(client, 27).status_int == 201


@pytest.mark.parametrize(
    ("change", "code"),
    [("stock_quantity = 1", "INSUFFICIENT_STOCK"), ("is_active = 0", "WITHDRAWN")],
)
def test_a_line_that_cannot_be_had_changes_nothing_and_is_named(client, filled, sql, change, code):
    tea, cup = filled
    sql(f"UPDATE products SET {change} WHERE id = %s", [cup])

    for total in (25, 20):  # with the line and without
        refused = order(client, total)

        assert (refused.status_int, refused.json["error"]["code"]) == (409, "CART_CHANGED")
        issues = {item["product_id"]: item["issue"] for item in refused.json["error"]["details"]["cart"]["items"]}
        assert issues[cup]["code"] == code
    assert stock(sql, tea)[0] == 5


def test_the_total_is_compared_exactly(client, make):
    make.cart(SESSION, *make.products(3, price="0.10", stock=9))

    assert order(client, 0.31).status_int == 409
    assert order(client, 0.3).status_int == 201


@pytest.mark.parametrize("session", [SESSION, "never-seen"])
def test_an_empty_cart_cannot_be_ordered(client, make, session):
    make.cart(SESSION)

    refused = order(client, 1, session)

    assert (refused.status_int, refused.json["error"]["code"]) == (409, "CART_EMPTY")


def test_without_a_key_nothing_is_ordered(client, filled, sql):
    body = {"expected_total": 25, "email": "ada@example.com"}

    refused = client.post_json("/api/orders", body, headers={"Session-ID": SESSION})

    assert (refused.status_int, refused.json["error"]["code"]) == (400, "IDEMPOTENCY_KEY_REQUIRED")
    assert sql("SELECT COUNT(*) AS n FROM orders")[0]["n"] == 0


def test_the_same_key_gives_the_same_order_with_its_token(client, filled, sql):
    named = {"Session-ID": SESSION, **key()}
    body = {"expected_total": 25, "email": "ada@example.com"}

    first, again = (client.post_json("/api/orders", body, headers=named) for _ in range(2))

    assert first.json == again.json and "access_token" in again.json["data"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert sql("SELECT COUNT(*) AS n FROM orders")[0]["n"] == 1


def test_a_guest_has_to_say_an_address_and_all_problems_are_told_at_once(client, filled):
    body = {"expected_total": 0.001, "shipping_address": {**ADDRESS, "country": "Britain", "planet": "Earth"}}

    refused = client.post_json("/api/orders", body, headers={"Session-ID": SESSION, **key()})

    assert refused.status_int == 400
    fields = {problem["field"] for problem in refused.json["error"]["details"]["errors"]}
    assert fields == {"expected_total", "email", "shipping_address.country", "shipping_address.planet"}


@pytest.mark.parametrize("email", ["", "ada", "ada@@example.com", "a" * 250 + "@example.com"])
def test_what_is_no_address_is_refused_by_its_field(client, filled, email):
    refused = order(client, 25, email=email)

    assert refused.status_int == 400
    assert refused.json["error"]["details"]["field"] == "email"


@pytest.mark.parametrize("address", ["London", [], {}, {**ADDRESS, "city": " "}, {**ADDRESS, "line1": "a\nb"}, None])
def test_an_address_that_is_none_is_refused(client, filled, address):
    refused = order(client, 25, shipping_address=address)

    assert refused.status_int == 400
    assert refused.json["error"]["details"]["field"].startswith("shipping_address")


def test_a_guest_says_which_cart(client):
    refused = order(client, 25, session=None)

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, "Session-ID")


def test_an_account_orders_its_own_cart_and_no_token_comes(client, make):
    tea = make.product(price="10.00")
    register(client, "ada")
    token = login(client, "ada")
    session = client.post("/api/cart", headers=bearer(token)).json["data"]["session_id"]
    named = {"Session-ID": session, **bearer(token)}
    client.post_json("/api/cart/items", {"product_id": tea, "quantity": 1}, headers=named)

    placed = own_order(client, token, 10).json["data"]

    assert "access_token" not in placed
    assert placed["email"] == "ada@example.com"
    assert client.get(f"/api/orders/{placed['number']}", headers=bearer(token)).json["data"] == placed


def test_an_account_without_a_cart_has_nothing_to_order(client):
    register(client, "ada")

    assert own_order(client, login(client, "ada"), 10).json["error"]["code"] == "CART_EMPTY"


def test_with_a_token_that_is_not_valid_nothing_is_ordered_as_a_guests(client, filled, sql):
    refused = order(client, 25, headers=bearer("x" * 43))

    assert (refused.status_int, refused.json["error"]["code"]) == (401, "AUTHENTICATION_REQUIRED")
    assert sql("SELECT COUNT(*) AS n FROM orders")[0]["n"] == 0


def test_anothers_cart_cannot_be_ordered(client, make):
    tea = make.product(price="10.00")
    register(client, "ada")
    token = login(client, "ada")
    session = client.post("/api/cart", headers=bearer(token)).json["data"]["session_id"]
    named = {"Session-ID": session, **bearer(token)}
    client.post_json("/api/cart/items", {"product_id": tea, "quantity": 1}, headers=named)

    refused = order(client, 10, session)

    assert (refused.status_int, refused.json["error"]["code"]) == (403, "FORBIDDEN")


def test_nobody_else_can_tell_that_there_is_an_order(client, filled, sql, root):
    placed = order(client, 25).json["data"]
    number, token = placed["number"], placed["access_token"]
    register(client, "bob")
    stranger = bearer(login(client, "bob"))

    answers = [
        client.get(f"/api/orders/{named}", headers=headers)
        for named, headers in [
            (number, {}),
            (number, {"Order-Token": ""}),
            (number, {"Order-Token": "x" * 22}),
            (number, {"Order-Token": token[:-1]}),
            (number, stranger),
            (number, {**stranger, "Order-Token": "x" * 22}),
            ("00000-00000", {"Order-Token": token}),
            ("no-such-number", {"Order-Token": token}),
            ("9" * 300, {"Order-Token": token}),
        ]
    ]

    assert {answer.status_int for answer in answers} == {404}
    assert len({json.dumps(answer.json) for answer in answers}) == 1
    assert client.get(f"/api/orders/{number}", headers={"Order-Token": token}).status_int == 200
    assert client.get(f"/api/orders/{number}", headers={**stranger, "Order-Token": token}).status_int == 200
    assert client.get(f"/api/orders/{number}", headers=root).status_int == 200


def test_a_number_is_read_as_people_write_it(client, filled, sql):
    placed = order(client, 25).json["data"]
    sql("UPDATE orders SET number = 'K01Q0-1X90P'")
    opened = {"Order-Token": placed["access_token"]}

    for typed in ("K01Q0-1X90P", "k01q01x90p", "KOIQO-LX9OP"):
        assert client.get(f"/api/orders/{typed}", headers=opened).json["data"]["number"] == "K01Q0-1X90P"


def test_the_token_of_a_guest_is_not_stored(client, filled, sql):
    token = order(client, 25).json["data"]["access_token"]

    assert len(token) == 22  # 128 bits
    for table in ("orders", "outbox"):
        assert token not in str(sql(f"SELECT * FROM {table}"))


def test_a_number_that_is_taken_is_drawn_anew(client, make, sql, monkeypatch):
    first, second = make.product(price="1.00"), make.product(price="2.00")
    make.cart("one", first)
    make.cart("two", second)
    drawn = iter(["AAAAA-AAAAA", "AAAAA-AAAAA", "BBBBB-BBBBB"])
    monkeypatch.setattr("resources.orders.new_number", lambda: next(drawn))

    numbers = [order(client, total, session).json["data"]["number"] for total, session in [(1, "one"), (2, "two")]]

    assert numbers == ["AAAAA-AAAAA", "BBBBB-BBBBB"]
    assert stock(sql, first, second) == [9, 9]


def test_the_world_hears_of_an_order_in_its_transaction(client, filled, sql):
    sql("INSERT INTO webhooks (url, topics, salt) VALUES ('https://a.example', '[\"order.placed\"]', 'salt')")
    sql("INSERT INTO webhooks (url, topics, salt) VALUES ('https://b.example', '[\"order.paid\"]', 'salt')")
    sql("INSERT INTO webhooks (url, topics, salt, is_active) SELECT 'https://c.example', topics, salt, 0 FROM webhooks")
    [hook] = sql("SELECT id FROM webhooks WHERE url = 'https://a.example'")

    number = order(client, 25).json["data"]["number"]

    event, mail = sql("SELECT receiver, topic, payload FROM outbox ORDER BY id")
    assert (event["receiver"], event["topic"]) == (f"webhook {hook['id']}", "order.placed")
    told = json.loads(event["payload"], parse_float=Decimal)["data"]
    assert (told["number"], told["total"]) == (number, Decimal("25.00"))
    assert "ada" not in event["payload"]
    assert (mail["receiver"], mail["topic"]) == ("mail ada@example.com", "order_placed")
    assert json.loads(mail["payload"])["lines"] == "2 × Tea: 20.00\n2 × Cup: 5.00"


def test_twenty_identical_orders_at_once_are_one_with_twenty_equal_answers(served, make, sql):
    tea = make.product(price="10.00", stock=50)
    make.cart(SESSION, tea, quantity=2)
    named = {"Session_ID": SESSION, "Idempotency_Key": str(uuid.uuid4())}
    body = {"expected_total": 20, "email": "ada@example.com"}

    answers = at_once([lambda: served.request("/api/orders", "POST", body, **named)] * 20)

    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert stock(sql, tea) == [48]


def test_one_cart_is_ordered_once_however_many_try(served, make, sql):
    tea = make.product(price="10.00", stock=50)
    make.cart(SESSION, tea, quantity=2)
    body = {"expected_total": 20, "email": "ada@example.com"}

    def place():
        named = {"Session_ID": SESSION, "Idempotency_Key": str(uuid.uuid4())}
        return served.request("/api/orders", "POST", body, **named)

    answers = at_once([place] * 20)

    assert sorted(answer.status for answer in answers) == [201] + [409] * 19
    assert stock(sql, tea) == [48]


def test_nothing_is_sold_twice_and_what_is_added_meanwhile_is_not_lost(served, make, sql):
    """Orders and adds of one cart at once: each piece is in an order or still in the cart."""
    tea = make.product(price="10.00", stock=1000)
    make.cart(SESSION, tea)

    def act(number):
        if number % 2:
            line = {"product_id": tea, "quantity": 1}
            return served.request("/api/cart/items", "POST", line, Session_ID=SESSION).status == 201
        cart = served.request("/api/cart", Session_ID=SESSION).json["data"]
        body = {"expected_total": cart["total"] or 1, "email": "ada@example.com"}
        named = {"Session_ID": SESSION, "Idempotency_Key": str(uuid.uuid4())}
        answer = served.request("/api/orders", "POST", body, **named)
        assert answer.status in (201, 409), answer.body
        return False

    added = 1 + sum(at_once([functools.partial(act, number) for number in range(40)]))

    ordered = sql("SELECT COALESCE(SUM(quantity), 0) AS n FROM order_items")[0]["n"]
    left = sql("SELECT COALESCE(SUM(quantity), 0) AS n FROM cart_items")[0]["n"]
    assert ordered + left == added
    assert stock(sql, tea) == [1000 - ordered]


def test_buyers_at_once_of_many_products_buy_what_there_is_and_no_more(served, make, sql):
    """Carts hold the same products in any order of adding: whoever locks several never waits in a circle."""
    products = make.products(5, price="1.00", stock=10)
    for buyer in range(30):
        make.cart(f"buyer-{buyer}", *(products if buyer % 2 else reversed(products)))

    def buy(buyer):
        named = {"Session_ID": f"buyer-{buyer}", "Idempotency_Key": str(uuid.uuid4())}
        return served.request("/api/orders", "POST", {"expected_total": 5, "email": "ada@example.com"}, **named).status

    statuses = at_once([functools.partial(buy, buyer) for buyer in range(30)])

    assert sorted(statuses) == [201] * 10 + [409] * 20
    assert stock(sql, *products) == [0] * 5


def test_only_one_statement_changes_lines_of_orders_and_only_what_came_back():
    changing = [
        path.read_text()
        for path in (ROOT / "sql").rglob("*.sql")
        if re.search(r"^UPDATE order_items", path.read_text(), re.M)
    ]

    for text in changing:
        assert re.findall(r"SET\s+(?:i\.)?(\w+)", text) == ["restocked"]


def test_an_order_of_five_lines_takes_at_most_twelve_statements(client, make, monkeypatch):
    """In all: who asks and which is his cart, the key, the order, and COMMIT. BEGIN is sent with another one."""
    register(client, "ada")
    token = login(client, "ada")
    session = client.post("/api/cart", headers=bearer(token)).json["data"]["session_id"]
    for product in make.products(5, price="1.00"):
        make.cart(session, product)
    sent, send, commit = [], Session._send, Session.commit
    monkeypatch.setattr(
        Session, "_send", lambda db, statements, *a: (sent.extend(statements), send(db, statements, *a))
    )
    monkeypatch.setattr(Session, "commit", lambda db: (sent.extend(["COMMIT"] * db.begun), commit(db)))

    placed = own_order(client, token, 5)

    assert placed.status_int == 201
    assert 8 < len(sent) <= 12
