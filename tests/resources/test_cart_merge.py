"""The cart of an account: whose it is, and how it takes over the cart of a guest."""

import collections

import pytest
from helpers import PASSWORD, at_once, bearer, login, register

from core.db.database import Session

GUEST = "guest-cart"


@pytest.fixture
def log_in(client):
    """`log_in(name)`: make an account; return its token."""

    def make(name):
        register(client, name, email=f"{name}@example.com")
        return login(client, name)

    return make


def own_cart(client, token):
    """Return the session id of the account's own cart."""
    return client.post("/api/cart", headers=bearer(token)).json["data"]["session_id"]


def put(client, session, product, quantity, token=None):
    """Put something into a cart."""
    headers = {"Session-ID": session, **(bearer(token) if token else {})}
    answer = client.post_json("/api/cart/items", {"product_id": product, "quantity": quantity}, headers=headers)
    assert answer.status_int == 201, answer.text


def merge(client, token, guest=GUEST, **headers):
    """Merge a guest's cart into the account's."""
    return client.post("/api/cart/merge", headers={**bearer(token), "Session-ID": guest, **headers})


def quantities(cart):
    """Return what a cart holds."""
    return {item["product_id"]: item["quantity"] for item in cart["items"]}


def test_with_a_token_the_cart_is_the_accounts_own_on_every_device(client, log_in, sql):
    alice = log_in("alice")
    again = login(client, "alice")

    first, second = own_cart(client, alice), own_cart(client, again)

    assert first == second and len(first) >= 43
    assert own_cart(client, log_in("bob")) != first
    assert sql("SELECT COUNT(*) AS n FROM carts") == [{"n": 2}]


def test_a_token_that_is_not_valid_is_refused_and_no_guests_cart_is_opened(client):
    refused = client.post("/api/cart", headers=bearer("x" * 43))

    assert (refused.status_int, refused.json["error"]["code"]) == (401, "AUTHENTICATION_REQUIRED")


def test_an_accounts_cart_answers_its_owners_token_alone(client, log_in, make, sql):
    alice, bob = log_in("alice"), log_in("bob")
    tea = make.product(stock=9)
    session = own_cart(client, alice)
    put(client, session, tea, 1, alice)
    line = client.get(f"/api/cart/{session}", headers=bearer(alice)).json["data"]["items"][0]["id"]
    body, several = {"product_id": tea, "quantity": 1}, {"items": [{"product_id": tea, "quantity": 1}]}

    for stranger in ({}, bearer(bob), bearer("x" * 43)):
        named = {**stranger, "Session-ID": session}
        answers = [
            client.get("/api/cart", headers=named),
            client.get(f"/api/cart/{session}", headers=stranger),
            client.post_json("/api/cart/items", body, headers=named),
            client.post_json("/api/cart/items", {"product_id": tea, "quantity": 999}, headers=named),
            client.post_json(f"/api/cart/{session}/items", body, headers=stranger),
            client.post_json("/api/cart/items/batch", several, headers=named),
            client.put_json(f"/api/cart/items/{tea}", {"quantity": 2}, headers=named),
            client.put_json("/api/cart/items/999999", {"quantity": 2}, headers=named),
            client.put_json(f"/api/cart/{session}/items/{line}", {"quantity": 2}, headers=stranger),
            client.put_json(f"/api/cart/{session}/items/{line + 1}", {"quantity": 2}, headers=stranger),
            client.delete(f"/api/cart/items/{tea}", headers=named),
            client.delete(f"/api/cart/{session}/items/{line}", headers=stranger),
            client.delete("/api/cart", headers=named),
            client.delete(f"/api/cart/{session}", headers=stranger),
        ]
        assert [answer.status_int for answer in answers] == [403] * len(answers)
        assert {answer.json["error"]["code"] for answer in answers} == {"FORBIDDEN"}
        assert all(not answer.json["error"]["details"] for answer in answers)

    assert merge(client, bob, session).status_int == 403
    assert sql("SELECT version FROM carts WHERE session_id = %s", [session]) == [{"version": 2}]
    assert client.get(f"/api/cart/{session}", headers=bearer(alice)).status_int == 200


def test_merging_takes_the_greater_quantity_at_most_the_stock_and_says_what_was_cut(client, log_in, make, sql):
    alice = log_in("alice")
    more, less, new, few, gone = make.products(5, stock=20)
    session = own_cart(client, alice)
    put(client, session, more, 5, alice)
    put(client, session, less, 2, alice)
    for product, quantity in ((more, 3), (less, 7), (new, 1), (few, 9), (gone, 1)):
        put(client, GUEST, product, quantity)
    sql("UPDATE products SET stock_quantity = 4 WHERE id = %s", [few])
    sql("UPDATE products SET is_active = 0 WHERE id = %s", [gone])

    merged = merge(client, alice)

    assert merged.status_int == 200
    assert quantities(merged.json["data"]["cart"]) == {more: 5, less: 7, new: 1, few: 4}
    assert merged.json["data"]["cart"]["session_id"] == session
    assert merged.json["data"]["adjustments"] == [
        {"product_id": few, "code": "INSUFFICIENT_STOCK", "wanted": 9, "quantity": 4},
        {"product_id": gone, "code": "WITHDRAWN", "wanted": 1, "quantity": 0},
    ]
    assert client.get("/api/cart", headers={"Session-ID": GUEST}).json["data"]["items"] == []


def test_repeating_a_merge_changes_nothing(client, log_in, make):
    alice = log_in("alice")
    put(client, GUEST, make.product(), 3)

    first, second = merge(client, alice).json["data"], merge(client, alice).json["data"]

    assert second == {"cart": first["cart"], "adjustments": []}


def test_merging_ones_own_or_an_unknown_cart_changes_nothing(client, log_in, make):
    alice = log_in("alice")
    session = own_cart(client, alice)
    put(client, session, make.product(), 3, alice)
    before = client.get(f"/api/cart/{session}", headers=bearer(alice)).json["data"]

    for other in (session, "nobody-knows-it"):
        assert merge(client, alice, other).json["data"] == {"cart": before, "adjustments": []}


def test_a_merged_line_keeps_the_price_that_the_shopper_saw(client, log_in, make, sql):
    alice, tea = log_in("alice"), make.product(price="5.00")
    put(client, GUEST, tea, 1)
    sql("UPDATE products SET price = 6")

    merged = merge(client, alice).json["data"]["cart"]

    assert merged["items"][0]["issue"]["was"] == 5.0


def test_a_merge_never_makes_more_than_a_hundred_lines(client, log_in, make):
    alice = log_in("alice")
    products = make.products(102)
    make.cart(own_cart(client, alice), *products[:99])
    make.cart(GUEST, *products[98:])

    merged = merge(client, alice).json["data"]

    assert merged["cart"]["line_count"] == 100
    assert [(each["product_id"], each["code"]) for each in merged["adjustments"]] == [
        (product, "CART_FULL") for product in products[100:]
    ]


def test_merging_needs_a_token(client):
    refused = client.post("/api/cart/merge", headers={"Session-ID": GUEST})

    assert refused.status_int == 401


def test_the_cart_goes_with_the_account(client, log_in, make, sql):
    alice = log_in("alice")
    put(client, own_cart(client, alice), make.product(), 3, alice)
    id = client.get("/api/users/me", headers=bearer(alice)).json["data"]["id"]

    client.delete(f"/api/users/{id}", headers=bearer(alice))

    assert sql("SELECT (SELECT COUNT(*) FROM carts) + (SELECT COUNT(*) FROM cart_items) AS n") == [{"n": 0}]


def test_a_login_may_carry_the_guests_cart(client, log_in, make):
    log_in("alice")
    tea = make.product()
    put(client, GUEST, tea, 3)
    body = {"username": "alice", "password": PASSWORD, "session_id": GUEST}

    answer = client.post_json("/api/users/login", body).json["data"]

    assert (quantities(answer["cart"]), answer["adjustments"]) == ({tea: 3}, [])
    assert answer["cart"]["session_id"] == own_cart(client, answer["token"])


def test_a_login_without_it_says_nothing_of_a_cart(client, log_in, sql):
    log_in("alice")

    answer = client.post_json("/api/users/login", {"username": "alice", "password": PASSWORD}).json["data"]

    assert "cart" not in answer and "adjustments" not in answer
    assert sql("SELECT COUNT(*) AS n FROM carts") == [{"n": 0}]


def test_a_login_leaves_another_accounts_cart_alone_and_succeeds(client, log_in, make):
    alice = log_in("alice")
    session, tea = own_cart(client, alice), make.product()
    put(client, session, tea, 3, alice)
    log_in("bob")
    body = {"username": "bob", "password": PASSWORD, "session_id": session}

    answer = client.post_json("/api/users/login", body)

    assert (answer.status_int, answer.json["data"]["cart"]["items"]) == (200, [])
    kept = client.get(f"/api/cart/{session}", headers=bearer(alice)).json["data"]
    assert quantities(kept) == {tea: 3}


def test_a_refused_login_merges_nothing(client, log_in, make):
    log_in("alice")
    put(client, GUEST, make.product(), 3)

    refused = client.post_json("/api/users/login", {"username": "alice", "password": "Wrong-1234", "session_id": GUEST})

    assert refused.status_int == 401
    assert client.get("/api/cart", headers={"Session-ID": GUEST}).json["data"]["item_count"] == 3


def test_a_malformed_session_id_at_login_is_named(client, log_in):
    log_in("alice")
    body = {"username": "alice", "password": PASSWORD, "session_id": "a b"}

    refused = client.post_json("/api/users/login", body)

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, "session_id")


@pytest.mark.parametrize("path", ["/api/cart", "/api/cart/merge"])
def test_an_account_that_is_deleted_at_the_same_moment_is_not_logged_in(client, log_in, monkeypatch, sql, path):
    alice = log_in("alice")
    plainly = Session.run

    def deleted(session, statement, /, **params):
        if statement == "cart/add_own":
            sql("DELETE FROM users")
        return plainly(session, statement, **params)

    monkeypatch.setattr(Session, "run", deleted)

    refused = client.post(path, headers={**bearer(alice), "Session-ID": GUEST})

    assert (refused.status_int, refused.json["error"]["code"]) == (401, "AUTHENTICATION_REQUIRED")


def test_if_match_on_a_merge_is_the_etag_of_the_accounts_cart(client, log_in, make):
    alice = log_in("alice")
    tea, cup = make.products(2)
    session = own_cart(client, alice)
    before = client.get(f"/api/cart/{session}", headers=bearer(alice)).headers["ETag"]
    put(client, session, cup, 1, alice)
    put(client, GUEST, tea, 2)
    now = client.get(f"/api/cart/{session}", headers=bearer(alice)).headers["ETag"]

    refused = merge(client, alice, **{"If-Match": before})
    kept = client.get("/api/cart", headers={"Session-ID": GUEST}).json["data"]
    merged = merge(client, alice, **{"If-Match": now})

    assert (refused.status_int, refused.json["error"]["code"]) == (412, "PRECONDITION_FAILED")
    assert quantities(kept) == {tea: 2}
    assert (merged.status_int, quantities(merged.json["data"]["cart"])) == (200, {cup: 1, tea: 2})
    assert merged.headers["ETag"] == f'"{merged.json["data"]["cart"]["version"]}"'
    for guest in (GUEST, "nobodys", session):  # there is nothing to take over
        assert merge(client, alice, guest, **{"If-Match": now}).status_int == 412
        assert merge(client, alice, guest, **{"If-Match": merged.headers["ETag"]}).status_int == 200
        assert merge(client, alice, guest, **{"If-Match": "*"}).headers["ETag"] == merged.headers["ETag"]


@pytest.mark.slow
def test_of_simultaneous_writes_with_one_if_match_one_is_done_a_merge_too(served, client, log_in, make, sql):
    alice = log_in("alice")
    tea, cup = make.products(2, stock=1000)
    session = own_cart(client, alice)
    body = {"product_id": cup, "quantity": 1}

    for round in range(5):
        put(client, GUEST, tea, round + 1)
        [row] = sql("SELECT version FROM carts WHERE session_id = %s", [session])
        tagged = {**bearer(alice), "If_Match": f'"{row["version"]}"'}
        merging = lambda: served.request("/api/cart/merge", "POST", Session_ID=GUEST, **tagged)  # noqa: B023, E731
        adding = lambda: served.request("/api/cart/items", "POST", body, Session_ID=session, **tagged)  # noqa: B023, E731
        statuses = [answer.status for answer in at_once([merging, adding] * 6)]

        assert statuses.count(412) == 11
        assert merge(client, alice).status_int == 200
    assert sql("SELECT COUNT(*) AS n FROM cart_items WHERE session_id = %s", [GUEST]) == [{"n": 0}]


@pytest.mark.slow
def test_simultaneous_first_requests_make_one_cart_of_the_account(served, client, log_in, sql):
    alice = log_in("alice")

    answers = at_once([lambda: served.request("/api/cart", "POST", **bearer(alice))] * 40)

    assert len({answer.json["data"]["session_id"] for answer in answers}) == 1
    assert sql("SELECT COUNT(*) AS n FROM carts") == [{"n": 1}]


@pytest.mark.slow
def test_simultaneous_merges_and_adds_lose_nothing(served, client, log_in, make, sql):
    alice = log_in("alice")
    tea, cup = make.products(2, stock=10_000)
    session = own_cart(client, alice)

    def add(name, product, **headers):
        body = {"product_id": product, "quantity": 1}
        return lambda: served.request("/api/cart/items", "POST", body, Session_ID=name, **headers).status

    def merging():
        return served.request("/api/cart/merge", "POST", Session_ID=GUEST, **bearer(alice)).status

    jobs = []
    for _ in range(60):
        jobs += [add(GUEST, tea), add(session, cup, **bearer(alice)), merging]
    statuses = at_once(jobs)
    last = served.request("/api/cart/merge", "POST", Session_ID=GUEST, **bearer(alice)).json["data"]

    assert collections.Counter(statuses) == {201: 120, 200: 60}
    assert quantities(last["cart"])[cup] == 60
    assert 1 <= quantities(last["cart"])[tea] <= 60
    assert sql("SELECT COUNT(*) AS n FROM cart_items WHERE session_id = %s", [GUEST]) == [{"n": 0}]


@pytest.mark.slow
def test_two_carts_that_are_merged_crosswise_never_wait_for_each_other(served, client, log_in, make):
    """Each request locks both carts in the order of their ids. In any other order, these are deadlocks."""
    alice, tea = log_in("alice"), make.product(stock=10_000)
    own_cart(client, alice)

    def job(number):
        def work():
            body = {"product_id": tea, "quantity": 1}
            served.request("/api/cart/items", "POST", body, Session_ID=f"guest-{number % 3}")
            return served.request("/api/cart/merge", "POST", Session_ID=f"guest-{number % 3}", **bearer(alice)).status

        return work

    statuses = at_once([job(number) for number in range(90)])

    assert collections.Counter(statuses) == {200: 90}
    assert "could not finish" not in served.log
