"""Changes of products and of their stock, through the wired shop and, for races, a real server."""

import collections
import json

import pytest
from helpers import at_once, bearer, login, register

NEW = {"name": "Desk Lamp", "price": 19.9}
LARGEST = 2**31 - 1


@pytest.fixture
def customer(client):
    """A customer's header."""
    register(client, "carl")
    return bearer(login(client, "carl"))


def send(client, method, path, text, headers):
    """Send JSON as it is written."""
    return client.request(
        path, method=method, body=text.encode(), headers={**headers, "Content-Type": "application/json"}
    )


def problem(answer):
    """Return status, code and field of a refusal."""
    error = answer.json["error"]
    return answer.status_int, error["code"], error["details"].get("field")


def test_a_product_is_created_with_defaults_and_found_where_location_says(client, root):
    made = client.post_json("/api/products", NEW, headers=root)

    product = made.json["data"]
    assert made.status_int == 201
    assert made.headers["Location"] == f"/api/products/{product['id']}"
    assert client.get(made.headers["Location"]).json["data"] == product
    assert product.pop("created_at") == product.pop("updated_at")
    assert product == {
        "id": product["id"],
        "name": "Desk Lamp",
        "description": None,
        "price": 19.9,
        "image_url": None,
        "category_id": None,
        "category_name": None,
        "stock_quantity": 0,
        "is_active": True,
    }


def test_a_product_is_created_with_all_its_fields(client, root, make):
    body = {
        "name": " Lampe «Été» 😀 ",
        "description": "Two\nlines",
        "price": 99999999.99,
        "image_url": "https://img.example/a.jpg?x=1",
        "category_id": make.category("Lamps"),
        "stock_quantity": LARGEST,
        "is_active": False,
    }

    product = client.post_json("/api/products", body, headers=root).json["data"]

    assert {name: product[name] for name in body} == body
    assert product["category_name"] == "Lamps"


def test_only_what_is_sent_is_changed(client, root, make):
    lamps = make.category()
    id = make.product("Lamp", "5.00", 7, category_id=lamps, description="Warm.", image_url="/a.jpg")
    path = f"/api/products/{id}"

    renamed = client.put_json(path, {"name": "Light"}, headers=root)
    emptied = client.put_json(path, {"description": None, "category_id": None, "image_url": None}, headers=root)

    assert renamed.status_int == 200
    assert renamed.json["data"]["price"] == 5.0 and renamed.json["data"]["category_id"] == lamps
    data = emptied.json["data"]
    assert (data["name"], data["description"], data["category_name"], data["image_url"]) == ("Light", None, None, None)
    assert client.get(path).json["data"] == data


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"name": "", "price": -1, "category_id": 99}, {"name", "price", "category_id"}),
        ({"price": 1.999, "category_id": 99, "colour": "red"}, {"price", "colour", "category_id"}),
        ({"name": "Lamp", "price": 1, "category_id": 99}, {"category_id"}),
        ({"name": "Lamp", "price": 0, "category_id": "no"}, {"price", "category_id"}),
    ],
)
def test_all_that_is_wrong_with_a_product_is_told_at_once_a_missing_category_too(client, root, make, body, fields):
    path = f"/api/products/{make.product()}"

    created = client.post_json("/api/products", {"name": "Lamp"} | body, headers=root)
    changed = client.put_json(path, body, headers=root)

    for refused in (created, changed):
        assert (refused.status_int, refused.json["error"]["code"]) == (400, "VALIDATION_ERROR")
        problems = refused.json["error"]["details"]["errors"]
        assert len(problems) == len(fields) and {problem["field"] for problem in problems} == fields


def test_changing_nothing_at_all_is_refused(client, root, make):
    refused = client.put_json(f"/api/products/{make.product()}", {}, headers=root)

    assert problem(refused)[:2] == (400, "VALIDATION_ERROR")
    assert "Send at least one of" in refused.json["error"]["message"]


@pytest.mark.parametrize(("method", "path"), [("PUT", ""), ("DELETE", ""), ("POST", "/stock")])
def test_what_does_not_exist_cannot_be_changed(client, root, method, path):
    body = '{"change": 1}' if method == "POST" else '{"name": "x"}'
    for id in (999999, 0, 2**31):
        refused = send(client, method, f"/api/products/{id}{path}", body if method != "DELETE" else "", root)
        assert problem(refused)[:2] == (404, "NOT_FOUND")


def test_a_withdrawn_product_stays_in_carts_which_say_so(client, root, make):
    id = make.product()
    session = {"Session-ID": "s1"}
    client.post_json("/api/cart/items", {"product_id": id, "quantity": 1}, headers=session)

    withdrawn = client.delete(f"/api/products/{id}", headers=root)

    assert (withdrawn.status_int, withdrawn.json["data"]["is_active"]) == (200, False)
    assert client.get("/api/cart", headers=session).json["data"]["items"][0]["available"] is False
    assert client.get(f"/api/products/{id}").status_int == 404
    assert client.delete(f"/api/products/{id}", headers=root).status_int == 200
    assert client.put_json(f"/api/products/{id}", {"is_active": True}, headers=root).status_int == 200
    assert client.get(f"/api/products/{id}").status_int == 200


def test_only_an_administrator_sees_a_withdrawn_product_and_no_cache_keeps_it(client, root, customer, make):
    path = f"/api/products/{make.product(is_active=0)}"

    seen = client.get(path, headers=root)

    assert (seen.status_int, seen.json["data"]["is_active"]) == (200, False)
    assert seen.headers["Cache-Control"] == "private, no-store"
    for headers in (customer, bearer("A" * 43), {"Authorization": "Basic x"}, {}):
        refused = client.get(path, headers={**headers, "If-None-Match": seen.headers["ETag"]})
        assert problem(refused)[:2] == (404, "NOT_FOUND")
        assert refused.headers["Cache-Control"] == "no-store"


def test_an_answer_for_everyone_says_that_it_depends_on_who_asks(client, root, make):
    path = f"/api/products/{make.product()}"

    plain, bad = client.get(path), client.get(path, headers=bearer("A" * 43))

    for answer in (plain, bad):
        assert answer.status_int == 200
        assert answer.headers["Cache-Control"].startswith("public")
        assert "Authorization" in answer.headers["Vary"]
    assert client.get(path, headers=root).headers["ETag"] == plain.headers["ETag"]


# Lost updates


def test_if_match_lets_only_the_first_change_through(client, root, make):
    path = f"/api/products/{make.product('Old')}"
    tag = client.get(path, headers=root).headers["ETag"]

    first = client.put_json(path, {"name": "First"}, headers={**root, "If-Match": tag})
    second = client.put_json(path, {"name": "Second"}, headers={**root, "If-Match": tag})
    gone = client.delete(path, headers={**root, "If-Match": tag})

    assert first.status_int == 200
    assert problem(second)[:2] == problem(gone)[:2] == (412, "PRECONDITION_FAILED")
    assert client.get(path).json["data"]["name"] == "First"
    assert client.get(path).headers["ETag"] == first.headers["ETag"] != tag
    third = client.delete(path, headers={**root, "If-Match": f'"other", {first.headers["ETag"]}'})
    assert third.status_int == 200
    assert client.get(path, headers=root).headers["ETag"] == third.headers["ETag"]


def test_if_match_star_means_that_it_exists_and_weak_tags_never_match(client, root, make):
    path = f"/api/products/{make.product()}"
    tag = client.get(path).headers["ETag"]

    for given, status in [
        ("*", 200),
        (f"W/{tag}", 412),
        ("", 412),
        (tag.strip('"'), 412),
        ('"\xe9"', 412),
        ("W/*", 412),
    ]:
        answer = client.put_json(path, {"stock_quantity": 10}, headers={**root, "If-Match": given})
        assert answer.status_int == status, given
    assert client.put_json("/api/products/999999", {"name": "x"}, headers={**root, "If-Match": "*"}).status_int == 404


def tag_of(real, path):
    """Return the ETag, which waitress spells so."""
    return real.request(path).headers["Etag"]


@pytest.mark.slow
def test_of_two_simultaneous_changes_with_one_etag_one_wins(boss, make):
    real, root = boss
    for _ in range(10):
        path = f"/api/products/{make.product()}"
        tag = tag_of(real, path)
        jobs = [
            lambda n=n, path=path, tag=tag: real.request(path, "PUT", {"name": f"Name {n}"}, If_Match=tag, **root)
            for n in range(2)
        ]

        answers = at_once(jobs)

        assert sorted(answer.status for answer in answers) == [200, 412]
        won = next(answer for answer in answers if answer.status == 200)
        assert tag_of(real, path) == won.headers["Etag"]


# Stock


def test_stock_goes_up_and_down_and_never_below_nothing(client, root, make):
    path = f"/api/products/{make.product(stock=5)}/stock"

    changed = client.post_json(path, {"change": -3}, headers=root)
    refused = client.post_json(path, {"change": -3}, headers=root)
    more = client.post_json(path, {"change": 10}, headers=root)

    assert (changed.status_int, changed.json["data"]["stock_quantity"]) == (200, 2)
    assert problem(refused) == (409, "INSUFFICIENT_STOCK", "change")
    assert refused.json["error"]["details"]["available"] == 2
    assert refused.json["error"]["message"] == "Only 2 in stock."
    assert more.json["data"]["stock_quantity"] == 12


def test_stock_never_exceeds_what_can_be_stored(client, root, make):
    path = f"/api/products/{make.product(stock=LARGEST - 1)}/stock"

    refused = client.post_json(path, {"change": 2}, headers=root)

    assert problem(refused) == (400, "VALIDATION_ERROR", "change")
    assert "Must be at most 1:" in refused.json["error"]["message"]
    assert client.post_json(path, {"change": 1}, headers=root).status_int == 200


@pytest.mark.parametrize("written", ["0", "0.0", "1.5", "true", '"1"', "null", "2147483648", "-2147483648", "1e30"])
def test_a_stock_change_is_a_whole_number_other_than_nought(client, root, make, written):
    refused = send(client, "POST", f"/api/products/{make.product()}/stock", f'{{"change": {written}}}', root)

    assert problem(refused) == (400, "VALIDATION_ERROR", "change")


@pytest.mark.slow
def test_simultaneous_stock_changes_lose_nothing(boss, make, sql):
    real, root = boss
    id = make.product(stock=20)
    take = [lambda: real.request(f"/api/products/{id}/stock", "POST", {"change": -3}, **root).status] * 12

    statuses = collections.Counter(at_once(take))

    assert statuses == {200: 6, 409: 6}
    assert sql("SELECT stock_quantity FROM products")[0]["stock_quantity"] == 2
    told = sql("SELECT before_state, after_state FROM audit_entries WHERE action = 'stock_changed' ORDER BY id")
    steps = [[json.loads(row[s])["stock_quantity"] for s in ("before_state", "after_state")] for row in told]
    assert steps == [[20, 17], [17, 14], [14, 11], [11, 8], [8, 5], [5, 2]]
