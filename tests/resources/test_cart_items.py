"""Changes of a cart: what each of them answers, batches, versions; and many at once, against a real server."""

import collections
import random

import pytest
from helpers import at_once

SESSION = {"Session-ID": "a-cart"}


def add(client, product, quantity=1, **headers):
    """Put something into the cart."""
    body = {"product_id": product, "quantity": quantity}
    return client.post_json("/api/cart/items", body, headers={**SESSION, **headers})


def batch(client, *items, session="a-cart"):
    """Put several things into the cart: (product, quantity)."""
    body = {"items": [{"product_id": product, "quantity": quantity} for product, quantity in items]}
    return client.post_json("/api/cart/items/batch", body, headers={"Session-ID": session})


def cart(client):
    """Return the cart."""
    return client.get("/api/cart", headers=SESSION).json["data"]


def test_every_write_answers_with_the_whole_cart(client, make):
    tea, cup = make.products(2, stock=9)

    added = add(client, tea, 2)
    assert added.json["data"]["cart"] == cart(client)
    changed = client.put_json(f"/api/cart/items/{tea}", {"quantity": 5}, headers=SESSION)
    assert changed.json["data"]["cart"] == cart(client)
    several = batch(client, (cup, 3))
    assert several.json["data"] == {"cart": cart(client)}
    removed = client.delete(f"/api/cart/items/{tea}", headers=SESSION)
    assert removed.json["data"] == {"cart": cart(client)}
    emptied = client.delete("/api/cart", headers=SESSION)
    assert emptied.json["data"] == {"cart": cart(client)}

    assert [added.json["data"]["quantity"], changed.json["data"]["quantity"]] == [2, 5]
    assert [answer.json["data"]["cart"]["item_count"] for answer in (added, changed, several, removed, emptied)] == [
        *(2, 5, 8, 3, 0)
    ]


def test_the_version_grows_with_each_change_and_is_the_etag(client, make):
    tea = make.product(stock=9)

    answers = [
        add(client, tea),
        add(client, tea),
        client.put_json(f"/api/cart/items/{tea}", {"quantity": 5}, headers=SESSION),
        client.delete(f"/api/cart/items/{tea}", headers=SESSION),
        client.delete("/api/cart", headers=SESSION),
    ]
    shown = client.get("/api/cart", headers=SESSION)

    assert [answer.json["data"]["cart"]["version"] for answer in answers] == [1, 2, 3, 4, 5]
    assert [answer.headers["ETag"] for answer in answers] == ['"1"', '"2"', '"3"', '"4"', '"5"']
    assert (shown.json["data"]["version"], shown.headers["ETag"]) == (5, '"5"')


def test_a_refused_change_is_no_new_version(client, make):
    tea = make.product(stock=1)
    add(client, tea)

    refused = [
        add(client, tea),
        client.put_json(f"/api/cart/items/{tea}", {"quantity": 2}, headers=SESSION),
        client.delete("/api/cart/items/999999", headers=SESSION),
    ]

    assert [answer.status_int for answer in refused] == [409, 409, 404]
    assert cart(client)["version"] == 1


def test_if_match_on_a_write_turns_a_lost_update_into_412(client, make):
    tea = make.product(stock=9)
    read = add(client, tea).headers["ETag"]
    add(client, tea)  # somebody else, in another tab

    def writes(etag):
        headers = {**SESSION, "If-Match": etag}
        body = {"product_id": tea, "quantity": 1}
        line = f"/api/cart/a-cart/items/{cart(client)['items'][0]['id']}"
        return [
            client.post_json("/api/cart/items", body, headers=headers),
            client.post_json("/api/cart/items/batch", {"items": [body]}, headers=headers),
            client.post_json("/api/cart/a-cart/items", body, headers={"If-Match": etag}),
            client.put_json(f"/api/cart/items/{tea}", {"quantity": 1}, headers=headers),
            client.put_json(f"/api/cart/items/{tea}", {"quantity": 0}, headers=headers),
            client.put_json(line, {"quantity": 1}, headers={"If-Match": etag}),
            client.delete(f"/api/cart/items/{tea}", headers=headers),
            client.delete(line, headers={"If-Match": etag}),
            client.delete("/api/cart", headers=headers),
            client.delete("/api/cart/a-cart", headers={"If-Match": etag}),
        ]

    refused = writes(read)

    assert {(answer.status_int, answer.json["error"]["code"]) for answer in refused} == {(412, "PRECONDITION_FAILED")}
    assert (cart(client)["version"], cart(client)["item_count"]) == (2, 2)
    assert add(client, tea, **{"If-Match": 'W/"2"'}).status_int == 412  # a weak tag never matches
    assert add(client, tea, **{"If-Match": '"7", "2"'}).status_int == 201
    assert add(client, tea, **{"If-Match": "*"}).status_int == 201


def test_if_match_of_an_unknown_cart_is_version_0(client, make):
    tea = make.product()

    assert add(client, tea, **{"If-Match": '"1"'}).status_int == 412
    assert add(client, tea, **{"If-Match": '"0"'}).status_int == 201
    assert add(client, tea, **{"If-Match": '"0"'}).status_int == 412


@pytest.mark.parametrize("path", ["/api/cart/items/{product}", "/api/cart/a-cart/items/{line}"])
def test_quantity_0_removes_the_line(client, make, path):
    tea, cup = make.products(2)
    batch(client, (tea, 2), (cup, 1))
    line = cart(client)["items"][0]["id"]

    removed = client.put_json(path.format(product=tea, line=line), {"quantity": 0}, headers=SESSION)
    again = client.put_json(path.format(product=tea, line=line), {"quantity": 0}, headers=SESSION)

    assert (removed.status_int, removed.json["data"]) == (200, {"cart": cart(client)})
    assert [item["product_id"] for item in cart(client)["items"]] == [cup]
    assert again.status_int == 404


def test_a_client_that_clamps_to_available_succeeds_at_once(client, make, sql):
    chance = random.Random(7)
    tries = collections.Counter()
    for _ in range(60):
        stock, held = chance.choice([0, 1, 5, 998, 999, 5000]), chance.choice([0, 1, 4, 900])
        tea = make.product(stock=max(stock, held))
        if held:
            add(client, tea, held)
        sql("UPDATE products SET stock_quantity = %s WHERE id = %s", [stock, tea])
        wanted = chance.randrange(1, 1000)
        for write in (
            lambda quantity, tea=tea: add(client, tea, quantity),
            lambda quantity, tea=tea: batch(client, (tea, quantity)),
            lambda quantity, tea=tea: client.put_json(
                f"/api/cart/items/{tea}", {"quantity": quantity}, headers=SESSION
            ),
        ):
            answer = write(wanted)
            if answer.status_int == 409:
                details = answer.json["error"]["details"]
                assert details["in_stock"] == stock and details["available"] < wanted
                if details["available"]:
                    assert write(details["available"]).status_int in (200, 201)
                    tries["clamped"] += 1
        client.delete("/api/cart", headers=SESSION)

    assert tries["clamped"] > 20


def test_item_count_counts_pieces_and_line_count_lines(client, make):
    tea, cup = make.products(2)

    batch(client, (tea, 3), (cup, 4))

    assert (cart(client)["item_count"], cart(client)["line_count"]) == (7, 2)


def test_a_changed_price_is_an_issue_that_hinders_nothing(client, make, sql):
    tea = make.product(price="5.00")
    add(client, tea, 2)
    sql("UPDATE products SET price = 6.50")

    shown = cart(client)
    line = shown["items"][0]
    changed = client.put_json(f"/api/cart/items/{tea}", {"quantity": 3}, headers=SESSION).json["data"]
    added = add(client, tea).json["data"]

    assert line["issue"] == {"code": "PRICE_CHANGED", "message": "Was 5.00 when you added it.", "was": 5.0}
    assert (line["available"], line["unit_price"], shown["total"]) == (True, 6.5, 13.0)
    assert changed["issue"]["code"] == "PRICE_CHANGED"  # nothing was added
    assert added["issue"] is None  # now it was, at today's price


def test_a_line_from_before_prices_were_noted_has_no_changed_price(client, make):
    make.cart("a-cart", make.product())

    assert cart(client)["items"][0]["issue"] is None


def test_the_total_and_the_lines_that_are_available_never_disagree(client, make, sql):
    fine, few, gone, dearer = make.products(4, price="10.00", stock=5)
    batch(client, (fine, 1), (few, 4), (gone, 1), (dearer, 2))
    sql("UPDATE products SET stock_quantity = 3 WHERE id = %s", [few])
    sql("UPDATE products SET is_active = 0 WHERE id = %s", [gone])
    sql("UPDATE products SET price = 11 WHERE id = %s", [dearer])

    shown = cart(client)

    assert [item["issue"] and item["issue"]["code"] for item in shown["items"]] == [
        *(None, "INSUFFICIENT_STOCK", "WITHDRAWN", "PRICE_CHANGED")
    ]
    assert shown["total"] == sum(item["line_total"] for item in shown["items"] if item["available"]) == 32.0


def test_a_batch_adds_all_of_it(client, make):
    tea, cup, pot = make.products(3, stock=9)
    add(client, tea, 2)

    added = batch(client, (cup, 1), (tea, 3), (cup, 2), (pot, 9))

    assert added.status_int == 201
    assert [(item["product_id"], item["quantity"]) for item in cart(client)["items"]] == [(tea, 5), (cup, 3), (pot, 9)]
    assert cart(client)["version"] == 2


def test_a_refused_batch_lists_each_item_and_adds_nothing(client, make):
    tea, cup, gone = make.product(stock=5), make.product(stock=2), make.product(is_active=0)
    add(client, tea, 1)

    refused = batch(client, (tea, 4), (tea, 1), (cup, 3), (gone, 1), (10**9, 1), (10**12, 1))

    error = refused.json["error"]
    assert (refused.status_int, error["code"]) == (409, "INSUFFICIENT_STOCK")
    assert [(each["field"], each["code"], each.get("available")) for each in error["details"]["errors"]] == [
        ("items[1]", "INSUFFICIENT_STOCK", 0),
        ("items[2]", "INSUFFICIENT_STOCK", 2),
        ("items[3]", "NOT_FOUND", None),
        ("items[4]", "NOT_FOUND", None),
        ("items[5]", "NOT_FOUND", None),
    ]
    assert error["details"]["field"] == "items[1]"
    assert error["message"] == "items[1]: Only 5 in stock, and the cart holds 5 already."
    assert [(item["product_id"], item["quantity"]) for item in cart(client)["items"]] == [(tea, 1)]


def test_a_batch_beyond_a_hundred_lines_adds_nothing(client, make):
    products = make.products(101)
    make.cart("a-cart", products[0])

    refused = batch(client, *[(product, 1) for product in products[1:]])
    fits = batch(client, *[(product, 1) for product in products[:100]])

    assert (refused.status_int, refused.json["error"]["code"]) == (409, "CART_FULL")
    assert (fits.status_int, fits.json["data"]["cart"]["line_count"]) == (201, 100)


@pytest.mark.parametrize(
    ("items", "problems"),
    [
        (None, [("items", "Must be a list of 1 to 100 items.")]),
        ([], [("items", "Must be a list of 1 to 100 items.")]),
        ([{"product_id": 1, "quantity": 1}] * 101, [("items", "Must be a list of 1 to 100 items.")]),
        ({}, [("items", "Must be a list of 1 to 100 items.")]),
        ([{"product_id": 1, "quantity": 1}, 7], [("items[1]", "Must be an object.")]),
        (
            [{"product_id": 0, "quantity": 1}, {"product_id": True, "quantity": 1000, "gift": 1}],
            [
                ("items[0].product_id", "Must be a whole number of at least 1."),
                ("items[1].product_id", "Must be a whole number of at least 1."),
                ("items[1].quantity", "Must be a whole number from 1 to 999."),
                ("items[1].gift", "Unknown field gift."),
            ],
        ),
    ],
)
def test_a_malformed_batch_is_refused_by_the_place_of_each_problem(client, items, problems):
    refused = client.post_json("/api/cart/items/batch", {"items": items}, headers=SESSION)

    assert refused.status_int == 400
    assert [(each["field"], each["issue"]) for each in refused.json["error"]["details"]["errors"]] == problems


def test_the_path_form_of_a_batch_does_the_same(client, make):
    body = {"items": [{"product_id": make.product(), "quantity": 2.0}]}

    added = client.post_json("/api/cart/p-cart/items/batch", body)

    assert added.status_int == 201
    assert client.get("/api/cart/p-cart").json["data"] == added.json["data"]["cart"]


@pytest.mark.slow
def test_simultaneous_batches_lose_nothing_and_never_promise_more_than_the_stock(served, make, sql):
    tea, cup = make.product(stock=10_000), make.product(stock=45)

    def job(first, second):
        items = [{"product_id": first, "quantity": 1}, {"product_id": second, "quantity": 1}]
        return lambda: served.request("/api/cart/items/batch", "POST", {"items": items}, Session_ID="race").status

    statuses = at_once([job(tea, cup) if number % 2 else job(cup, tea) for number in range(90)])

    assert collections.Counter(statuses) == {201: 45, 409: 45}
    assert sql("SELECT product_id, quantity FROM cart_items ORDER BY product_id") == [
        {"product_id": tea, "quantity": 45},
        {"product_id": cup, "quantity": 45},
    ]
    assert sql("SELECT version FROM carts") == [{"version": 45}]


@pytest.mark.slow
def test_of_simultaneous_changes_with_one_etag_exactly_one_wins(served, make, sql):
    tea = make.product(stock=1000)
    make.cart("race", tea)

    def job(quantity):
        path, body = f"/api/cart/items/{tea}", {"quantity": quantity}
        return lambda: served.request(path, "PUT", body, Session_ID="race", If_Match='"1"').status

    statuses = at_once([job(quantity) for quantity in range(2, 62)])

    assert collections.Counter(statuses) == {200: 1, 412: 59}
    assert sql("SELECT version FROM carts") == [{"version": 2}]
