"""What GET /api/shop tells a storefront, through the wired shop; and that it is true."""

import dataclasses

import pytest
from helpers import SETTINGS, as_url, command

from core.app import app
from core.shop import Shop


def shop_of(client):
    """Return what the shop says of itself."""
    return client.get("/api/shop").json["data"]


def test_a_shop_tells_its_name_and_its_currency(wired):
    assert shop_of(wired()).items() >= {"name": "Bodega", "currency": "EUR"}.items()

    named = wired(dataclasses.replace(SETTINGS, shop=Shop("Ada’s & Söhne", "CHF")))

    assert shop_of(named).items() >= {"name": "Ada’s & Söhne", "currency": "CHF"}.items()


def test_the_settings_of_the_environment_are_told(start, accounts, sql):
    real = start(DATABASE_URL=as_url(accounts.application), SHOP_NAME="Corner Shop", CURRENCY="GBP")

    told = real.request("/api/shop").json["data"]

    assert (told["name"], told["currency"]) == ("Corner Shop", "GBP")


@pytest.mark.parametrize("code", ["eur", "JPY", "EURO"])
def test_a_shop_with_another_currency_than_it_can_count_does_not_start(code):
    ended = command("routes", CURRENCY=code)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"CURRENCY is {code!r}; wanted is the code of a currency (ISO 4217)")
    assert ended.stderr.count("\n") == 1


def test_a_feature_is_told_if_its_route_is_there(client):
    features = shop_of(client)["features"]

    routes = {(route.method, route.rule) for route in app.routes}
    assert features["registration"] and features["guest_carts"]
    assert features["orders"] == (("POST", "/api/orders") in routes)
    assert features["suggestions"] == (("GET", "/api/products/suggest") in routes)
    assert features["account_carts"] == (("POST", "/api/cart/merge") in routes)


def test_a_page_has_at_most_as_many_products_as_is_told(client):
    most = shop_of(client)["limits"]["per_page"]

    assert client.get(f"/api/products?per_page={most}").status_int == 200
    assert client.get(f"/api/products?per_page={most + 1}").status_int == 400


def test_a_cart_takes_at_most_as_much_as_is_told(client, make):
    limits = shop_of(client)["limits"]
    session, stock = {"Session-ID": "full"}, 10 * limits["line_quantity"]
    products = make.products(limits["cart_lines"] + 1, stock=stock)

    def add(product, quantity):
        body = {"product_id": product, "quantity": quantity}
        return client.post_json("/api/cart/items", body, headers=session).status_int

    assert add(products[0], limits["line_quantity"] + 1) == 400
    assert [add(product, limits["line_quantity"]) for product in products] == [201] * limits["cart_lines"] + [409]


def test_the_example_of_the_api_document_says_the_same_limits(client):
    operation = client.get("/api/openapi.json").json["paths"]["/api/shop"]["get"]
    example = operation["responses"]["200"]["content"]["application/json"]["example"]["data"]

    told = shop_of(client)

    assert {name: told[name] for name in ("name", "currency", "limits")} == {
        name: example[name] for name in ("name", "currency", "limits")
    }
    assert told["features"].keys() == example["features"].keys()


def test_the_answer_may_be_cached_and_is_not_sent_twice(client):
    answer = client.get("/api/shop")

    again = client.get("/api/shop", headers={"If-None-Match": answer.headers["ETag"]})

    assert answer.headers["Cache-Control"] == "public, max-age=60"
    assert (again.status_int, again.body) == (304, b"")


def test_another_name_has_another_etag(wired):
    first = wired().get("/api/shop").headers["ETag"]
    second = wired(dataclasses.replace(SETTINGS, shop=Shop("Other"))).get("/api/shop").headers["ETag"]

    assert first != second


def test_the_answer_is_given_from_memory(start, accounts, sql):
    real = start("--workers", "1", DATABASE_URL=as_url(accounts.application))

    first, second = real.request("/api/shop"), real.request("/api/shop")

    assert (first.body, first.headers["Etag"]) == (second.body, second.headers["Etag"])
    assert "Age" in second.headers and second.headers["Cache-Control"] == "public, max-age=60"


def test_the_ways_to_pay_are_those_that_are_taken(wired):
    shop = wired(dataclasses.replace(SETTINGS, payment_providers=("dummy", "manual")))

    assert shop_of(shop)["payment_providers"] == ["dummy", "manual"]
