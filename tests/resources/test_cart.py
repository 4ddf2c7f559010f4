"""Carts, through the wired shop and, where many come at once, with real threads against a real server."""

import collections
import random
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from helpers import as_url

SESSION = {"Session-ID": "a-cart"}


def add(client, product, quantity=1, session="a-cart"):
    """Put something into a cart."""
    body = {"product_id": product, "quantity": quantity}
    return client.post_json("/api/cart/items", body, headers={"Session-ID": session})


def cart(client, session="a-cart"):
    """Return a cart."""
    return client.get("/api/cart", headers={"Session-ID": session}).json["data"]


def test_opening_a_cart_gives_an_id_that_cannot_be_guessed_and_stores_nothing(client, sql):
    answers = [client.post("/api/cart") for _ in range(2)]

    ids = [answer.json["data"]["session_id"] for answer in answers]
    assert [answer.status_int for answer in answers] == [201, 201]
    assert ids[0] != ids[1] and len(ids[0]) >= 43
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 0}]
    assert client.get("/api/cart", headers={"Session-ID": ids[0]}).status_int == 200


def test_an_unknown_cart_is_empty(client):
    assert cart(client) == {
        "session_id": "a-cart",
        "version": 0,
        "currency": "EUR",
        "items": [],
        "item_count": 0,
        "line_count": 0,
        "total": 0,
    }


def test_a_cart_shows_its_lines_and_their_total(client, make):
    tea = make.product("Tea", "4.95", 10, image_url="/tea.jpg")
    cup = make.product("Cup", "0.10", 10)

    added = add(client, tea, 3)
    add(client, cup, 1)

    shown = cart(client)
    assert added.status_int == 201
    assert {**added.json["data"], "cart": None} == {**shown["items"][0], "cart": None}
    id = shown["items"][0]["id"]
    assert shown["items"][0] == {
        "id": id,
        "product_id": tea,
        "quantity": 3,
        "unit_price": 4.95,
        "line_total": 14.85,
        "available": True,
        "issue": None,
        "product": {
            "id": tea,
            "name": "Tea",
            "price": 4.95,
            "image_url": "/tea.jpg",
            "stock_quantity": 10,
            "is_active": True,
        },
    }
    assert [item["product_id"] for item in shown["items"]] == [tea, cup]
    assert (shown["item_count"], shown["line_count"], shown["total"]) == (4, 2, 14.95)


def test_a_total_beyond_what_a_float_holds_is_exact(client, make, sql):
    dear = make.product(price="99999999.99", stock=2_000_000_000)
    add(client, dear, 999)
    sql("UPDATE cart_items SET quantity = 1999999999")

    text = client.get("/api/cart", headers=SESSION).text

    assert '"total":199999999880000000.01}' in text


def test_the_total_of_many_lines_is_exact_and_leaves_out_withdrawn_products(client, make, sql):
    prices = ["0.10", "0.20", "99999999.99", "0.01", "19.90"] * 20
    products = [make.product(price=price, stock=999, is_active=number % 3 > 0) for number, price in enumerate(prices)]
    make.cart("a-cart", *products, quantity=7)
    total = sum(7 * Decimal(price) for number, price in enumerate(prices) if number % 3)

    text = client.get("/api/cart", headers=SESSION).text
    sql("UPDATE products SET is_active = 0")
    withdrawn = client.get("/api/cart", headers=SESSION).text

    assert f'"item_count":700,"line_count":100,"total":{total}}}' in text
    assert '"item_count":700,"line_count":100,"total":0.00}' in withdrawn


def test_adding_again_makes_the_line_longer(client, make):
    tea = make.product()
    first = add(client, tea, 2).json["data"]

    second = add(client, tea, 3)

    assert second.status_int == 201
    assert (second.json["data"]["id"], second.json["data"]["quantity"]) == (first["id"], 5)


def test_more_than_the_stock_is_refused_counting_what_the_cart_holds(client, make):
    tea = make.product(stock=5)
    add(client, tea, 3)

    refused = add(client, tea, 3)

    assert refused.status_int == 409
    error = refused.json["error"]
    assert error["code"] == "INSUFFICIENT_STOCK"
    assert error["details"] == {
        "field": "quantity",
        "issue": "Only 5 in stock, and the cart holds 3 already.",
        "in_stock": 5,
        "in_cart": 3,
        "available": 2,
    }
    assert cart(client)["items"][0]["quantity"] == 3
    assert add(client, make.product(stock=0)).json["error"]["details"]["issue"] == "Sold out."


@pytest.mark.parametrize("product", ["withdrawn", 2**31 - 1, 2**31, 10**30])
def test_an_unknown_or_withdrawn_product_cannot_be_added(client, make, product):
    if product == "withdrawn":
        product = make.product(is_active=0)

    refused = add(client, product)

    assert (refused.status_int, refused.json["error"]["code"]) == (404, "NOT_FOUND")


QUANTITY = "Must be a whole number from 1 to 999."
PRODUCT = "Must be a whole number of at least 1."


@pytest.mark.parametrize(
    ("body", "field", "issue"),
    [
        ({"quantity": 1}, "product_id", "Is required."),
        ({"product_id": 1}, "quantity", "Is required."),
        ({"product_id": 0, "quantity": 1}, "product_id", PRODUCT),
        ({"product_id": "1", "quantity": 1}, "product_id", PRODUCT),
        ({"product_id": True, "quantity": 1}, "product_id", PRODUCT),
        ({"product_id": 1, "quantity": 0}, "quantity", QUANTITY),
        ({"product_id": 1, "quantity": 1000}, "quantity", QUANTITY),
        ({"product_id": 1, "quantity": True}, "quantity", QUANTITY),
        ({"product_id": 1, "quantity": 1.5}, "quantity", QUANTITY),
        ({"product_id": 1, "quantity": None}, "quantity", QUANTITY),
        ({"product_id": 1, "quantity": [1]}, "quantity", QUANTITY),
        ({"product_id": 1, "quantity": 1, "price": 0}, "price", "Unknown field price."),
        (
            {"product_id": 1, "quantitty": 1, "quantity": 1},
            "quantitty",
            "Unknown field quantitty; did you mean quantity?",
        ),
    ],
)
def test_a_bad_body_is_refused_by_name_and_stores_nothing(client, make, sql, body, field, issue):
    make.product()

    refused = client.post_json("/api/cart/items", body, headers=SESSION)

    assert refused.status_int == 400
    assert (refused.json["error"]["details"]["field"], refused.json["error"]["details"]["issue"]) == (field, issue)
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 0}]


def test_a_whole_number_may_be_written_with_a_decimal_point(client, make):
    """JSON Schema 2020-12 calls 1.0 an integer, and some languages know no other numbers."""
    id = make.product()
    body = f'{{"product_id": {id}.0, "quantity": 1.0}}'

    added = client.post("/api/cart/items", body, headers={**SESSION, "Content-Type": "application/json"})

    assert added.status_int == 201
    assert '"quantity":1,' in added.text


@pytest.mark.parametrize("session", [None, "", "a b", "a/b", "ü", "x" * 256, "a\n", "a%00", "'--"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_missing_or_malformed_session_id_is_named(client, session, method):
    headers = {} if session is None else {"Session-ID": session.encode().decode("latin-1")}

    refused = client.request("/api/cart", method=method, headers=headers)

    assert refused.status_int == 400
    assert refused.json["error"]["details"]["field"] == "Session-ID"


def test_a_malformed_session_id_in_the_path_is_named(client):
    refused = client.get("/api/cart/a%20b")

    assert refused.status_int == 400
    assert refused.json["error"]["details"]["field"] == "session_id"


def test_session_ids_differ_by_case_and_by_every_character(client, make):
    tea = make.product()
    add(client, tea, 1, "aA.b~c_d-1")

    for other in ("aa.b~c_d-1", "AA.b~c_d-1", "aA.b~c_d-", "aA.b~c_d-10"):
        assert cart(client, other)["items"] == []
    assert len(cart(client, "aA.b~c_d-1")["items"]) == 1


def test_a_session_id_of_digits_is_not_compared_as_a_number(client, make):
    add(client, make.product(), 1, "abc")

    assert cart(client, "0")["items"] == []


def test_setting_a_quantity(client, make):
    tea = make.product(price="2.50", stock=9)
    add(client, tea, 1)

    changed = client.put_json(f"/api/cart/items/{tea}", {"quantity": 9}, headers=SESSION)
    same = client.put_json(f"/api/cart/items/{tea}", {"quantity": 9}, headers=SESSION)

    assert (changed.status_int, changed.json["data"]["quantity"], changed.json["data"]["line_total"]) == (200, 9, 22.5)
    assert same.status_int == 200  # an UPDATE to the same values changes 0 rows, which is no 404


def test_setting_more_than_the_stock_is_refused(client, make, sql):
    tea = make.product(stock=3)
    add(client, tea, 3)

    refused = client.put_json(f"/api/cart/items/{tea}", {"quantity": 4}, headers=SESSION)
    sql("UPDATE products SET stock_quantity = 2")
    shrunk = client.put_json(f"/api/cart/items/{tea}", {"quantity": 3}, headers=SESSION)

    assert (refused.status_int, refused.json["error"]["details"]["available"]) == (409, 3)
    assert (shrunk.status_int, shrunk.json["error"]["details"]["available"]) == (409, 2)
    assert cart(client)["items"][0]["quantity"] == 3


def test_what_is_not_in_the_cart_can_be_neither_changed_nor_removed(client, make):
    tea = make.product()
    add(client, tea, 1, "another-cart")
    line = cart(client, "another-cart")["items"][0]["id"]

    answers = [
        client.put_json(f"/api/cart/items/{tea}", {"quantity": 1}, headers=SESSION),
        client.delete(f"/api/cart/items/{tea}", headers=SESSION),
        client.put_json(f"/api/cart/a-cart/items/{line}", {"quantity": 1}),
        client.delete(f"/api/cart/a-cart/items/{line}"),
        client.delete("/api/cart/a-cart/items/9223372036854775808"),
        client.delete("/api/cart/items/0", headers=SESSION),
    ]

    assert [answer.status_int for answer in answers] == [404] * 6
    assert len(cart(client, "another-cart")["items"]) == 1


def test_removing_and_emptying(client, make):
    tea, cup = make.product(), make.product()
    add(client, tea)
    add(client, cup)

    removed = client.delete(f"/api/cart/items/{tea}", headers=SESSION)
    left = cart(client)
    emptied = client.delete("/api/cart", headers=SESSION)
    again = client.delete("/api/cart", headers=SESSION)

    assert (removed.status_int, emptied.status_int, again.status_int) == (200, 200, 200)
    assert [item["product_id"] for item in left["items"]] == [cup]
    assert cart(client)["items"] == []


def test_the_path_form_does_the_same_with_the_lines_own_id(client, make):
    make.product()  # so that ids of products and of lines differ
    tea = make.product(stock=5)

    added = client.post_json("/api/cart/p-cart/items", {"product_id": tea, "quantity": 1})
    line = f"/api/cart/p-cart/items/{added.json['data']['id']}"
    changed = client.put_json(line, {"quantity": 5})
    over = client.put_json(line, {"quantity": 6})
    shown = client.get("/api/cart/p-cart")
    removed = client.delete(line)
    emptied = client.delete("/api/cart/p-cart")

    assert [a.status_int for a in (added, changed, over, shown, removed, emptied)] == [201, 200, 409, 200, 200, 200]
    assert [{**shown.json["data"]["items"][0], "cart": changed.json["data"]["cart"]}] == [changed.json["data"]]
    assert cart(client, "p-cart")["items"] == []


def test_both_forms_reach_one_cart(client, make):
    add(client, make.product(), 1, "one-cart")

    assert client.get("/api/cart/one-cart").json["data"] == cart(client, "one-cart")


def test_a_withdrawn_product_stays_says_so_and_is_not_in_the_total(client, make, sql):
    tea, cup = make.product("Tea", "5.00"), make.product("Cup", "2.00")
    add(client, tea, 2)
    add(client, cup, 1)
    sql("UPDATE products SET is_active = 0 WHERE id = %s", [tea])

    shown = cart(client)
    refused = client.put_json(f"/api/cart/items/{tea}", {"quantity": 1}, headers=SESSION)

    line = shown["items"][0]
    assert (line["available"], line["product"]["is_active"]) == (False, False)
    assert line["issue"] == {"code": "WITHDRAWN", "message": "No longer sold. Remove it from the cart."}
    assert (shown["total"], shown["item_count"]) == (2.0, 3)
    assert (refused.status_int, refused.json["error"]["code"]) == (409, "PRODUCT_WITHDRAWN")
    assert client.delete(f"/api/cart/items/{tea}", headers=SESSION).status_int == 200


def test_a_line_beyond_the_stock_stays_and_says_so(client, make, sql):
    tea = make.product(price="5.00", stock=4)
    add(client, tea, 4)
    sql("UPDATE products SET stock_quantity = 1, price = 6")

    shown = cart(client)

    assert shown["items"][0]["available"] is False
    assert shown["items"][0]["issue"] == {"code": "INSUFFICIENT_STOCK", "message": "Only 1 in stock.", "in_stock": 1}
    assert shown["total"] == 0  # nothing of it can be had as it stands


def test_a_cart_holds_at_most_a_hundred_lines(client, make, sql):
    products = make.products(101)
    make.cart("a-cart", *products[:-2])

    hundredth = add(client, products[-2])
    refused = add(client, products[-1])
    more = add(client, products[0], 2)

    assert (hundredth.status_int, refused.status_int, more.status_int) == (201, 409, 201)
    assert refused.json["error"]["message"] == "A cart holds at most 100 different products. Remove one first."
    assert refused.json["error"]["code"] == "CART_FULL"
    assert cart(client)["line_count"] == 100


def at_once(jobs, threads=12):
    """Run all jobs, so many at a time; return what they return."""
    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]


def put(served, session, product, quantity=1):
    """Return a job that adds to a cart."""
    body = {"product_id": product, "quantity": quantity}
    return lambda: served.request("/api/cart/items", "POST", body, Session_ID=session).status


@pytest.mark.slow
def test_simultaneous_adds_of_one_product_lose_nothing_and_make_one_line(served, make, sql):
    tea = make.product(stock=10_000)

    statuses = at_once([put(served, "race", tea, 2) for _ in range(300)])

    assert collections.Counter(statuses) == {201: 300}
    assert sql("SELECT quantity FROM cart_items WHERE session_id = 'race'") == [{"quantity": 600}]


@pytest.mark.slow
def test_simultaneous_adds_never_promise_more_than_the_stock(served, make, sql):
    tea = make.product(stock=50)

    statuses = at_once([put(served, "race", tea) for _ in range(120)])

    assert collections.Counter(statuses) == {201: 50, 409: 70}
    assert sql("SELECT quantity FROM cart_items") == [{"quantity": 50}]


@pytest.mark.slow
def test_simultaneous_first_adds_never_make_more_than_a_hundred_lines(served, make, sql):
    products = make.products(140)

    statuses = at_once([put(served, "race", product) for product in products])

    assert collections.Counter(statuses) == {201: 100, 409: 40}
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 100}]


@pytest.mark.slow
@pytest.mark.parametrize("in_cart", [0, 1, 93])
def test_a_cart_never_gets_a_hundred_and_first_line_with_more_connections_than_that(
    start, accounts, make, sql, in_cart
):
    crowd = start(
        *("--workers", "2", "--threads", "60"),
        DATABASE_URL=as_url(accounts.application),
        DATABASE_CONNECTIONS="120",
        DATABASE_TIMEOUT="20",
        RATE_LIMITS="off",
    )
    products = make.products(in_cart + 120)
    make.cart("race", *products[:in_cart])

    statuses = at_once([put(crowd, "race", product) for product in products[in_cart:]], threads=120)

    assert collections.Counter(statuses) == {201: 100 - in_cart, 409: 20 + in_cart}
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 100}]


@pytest.mark.slow
def test_adds_changes_removals_and_clears_mixed_give_no_5xx(served, make, sql):
    products = make.products(5, stock=30)
    chance = random.Random(1)

    def job():
        session, product = {"Session_ID": f"mixed-{chance.randrange(2)}"}, chance.choice(products)
        return chance.choice(
            [
                lambda: served.request("/api/cart/items", "POST", {"product_id": product, "quantity": 3}, **session),
                lambda: served.request(f"/api/cart/items/{product}", "PUT", {"quantity": 7}, **session),
                lambda: served.request(f"/api/cart/items/{product}", "DELETE", **session),
                lambda: served.request("/api/cart", "DELETE", **session),
                lambda: served.request("/api/cart", **session),
            ]
        )

    statuses = collections.Counter(answer.status for answer in at_once([job() for _ in range(900)]))

    assert set(statuses) <= {200, 201, 404, 409}, (statuses, served.log[-2000:])
    assert statuses[200] > 100 and statuses[201] > 20
    assert all(row["quantity"] <= 30 for row in sql("SELECT quantity FROM cart_items"))
