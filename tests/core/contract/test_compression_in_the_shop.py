"""The shop's own answers: which are compressed, which never are, and what becomes of their ETags."""

import json

import pytest
from helpers import PASSWORD, bearer, login, register
from test_compression import ACCEPTED, asked, plain, vary

from core.app import app
from core.contract.compression import is_compressible
from core.contract.shapes import Shape

TOKENS = {"token", "session_id", "access_token", "order_token", "secret"}  # fields that whoever has them can use


@pytest.fixture
def ask(client):
    """`ask(path, method, headers, json=…)`: of the wired shop."""
    return lambda *arguments, **named: asked(client.app, *arguments, **named)


def fields_of(rules):
    """Yield the names of all fields of a shape or of rules, however deep."""
    if isinstance(rules, Shape):
        for name, inner in rules.fields.items():
            yield name
            yield from fields_of(inner)
        return
    found = getattr(rules, "rules", rules)
    for part in ("shape", "items"):
        if isinstance(found, dict) and part in found:
            yield from fields_of(found[part])


def kinds_of(rules):
    """Yield the types of all fields, however deep."""
    found = rules.fields.values() if isinstance(rules, Shape) else [getattr(rules, "rules", rules)]
    for inner in found:
        yield inner.get("type") if isinstance(inner, dict) else None
        for part in ("shape", "items"):
            if isinstance(inner, dict) and part in inner:
                yield from kinds_of(inner[part])


def test_no_route_whose_answers_hold_a_token_is_compressed(shop):
    holding = [route for route in app.routes if TOKENS & set(fields_of(route.config.get("returns")))]

    assert {("POST", "/api/users/login"), ("GET", "/api/cart")} <= {(route.method, route.rule) for route in holding}
    assert [f"{route.method} {route.rule}" for route in holding if is_compressible(route)] == []


def test_every_route_whose_answers_can_be_long_and_hold_no_token_is_compressed(shop):
    long = [
        route
        for route in app.routes
        if ("list" in kinds_of(route.config.get("returns")) or route.config.get("produces"))
        and not TOKENS & set(fields_of(route.config.get("returns")))
    ]

    assert {"/api/products", "/api/audit", "/api/products/export", "/docs"} <= {route.rule for route in long}
    assert [f"{route.method} {route.rule}: declare compress=True" for route in long if not is_compressible(route)] == []


def test_what_holds_a_token_leaves_as_it_is_however_long(client, ask, make):
    cart, account = {**ACCEPTED, "Session-ID": "s-" + "x" * 200}, {"username": "alice", "password": PASSWORD}
    for id in make.products(12, name="A long name " * 10):
        client.post_json("/api/cart/items", {"product_id": id, "quantity": 1}, headers=cart)
    wrong = {f"n{number}{'x' * 80}": 1 for number in range(20)}

    long = [
        ask("/api/cart", headers=cart),
        ask(f"/api/cart/{cart['Session-ID']}", headers=ACCEPTED),
        ask("/api/cart/items", "POST", cart, json=wrong),
        ask("/api/users/login", "POST", ACCEPTED, json=wrong),
        ask("/api/users/register", "POST", ACCEPTED, json=wrong),
    ]
    register(client)
    short = [ask("/api/cart", "POST", ACCEPTED), ask("/api/users/login", "POST", ACCEPTED, json=account)]

    assert [len(answer.body) for answer in long if len(answer.body) < 1024] == []
    assert [answer.status_int for answer in short] == [201, 200]
    for answer in long + short:
        assert "Content-Encoding" not in answer.headers and "success" in answer.json


def test_the_catalogue_leaves_gzipped_and_says_the_same(ask, make):
    make.products(30, description="Warm or cool light. " * 5)

    for path in ("/api/products?per_page=100", "/api/products?search=light&facets=true", "/docs/swagger-ui.css"):
        packed, other = ask(path, headers=ACCEPTED), ask(path)

        assert packed.headers["Content-Encoding"] == "gzip" and plain(packed) == other.body
        assert len(packed.body) < len(other.body) / 3


def test_if_match_takes_the_tag_of_either_form(ask, root, make):
    path = f"/api/products/{make.product(description='Warm or cool light. ' * 100)}"
    for number, headers in enumerate((ACCEPTED, {}, ACCEPTED)):
        read = ask(path, headers=headers)
        late = read.headers["ETag"]

        changed = ask(path, "PUT", json={"stock_quantity": 20 + number}, headers={**root, **headers, "If-Match": late})
        ask(path, "PUT", json={"stock_quantity": 30 + number}, headers=root)
        missed = ask(path, "PUT", json={"stock_quantity": 2}, headers={**root, **headers, "If-Match": late})
        weak = ask(path, "PUT", json={"stock_quantity": 2}, headers={**root, "If-Match": f"W/{late}"})

        assert (read.headers.get("Content-Encoding") == "gzip") is bool(headers)
        assert [changed.status_int, missed.status_int, weak.status_int] == [200, 412, 412]


def test_the_tag_that_a_change_answers_with_is_the_one_of_the_form_that_its_client_reads(ask, root, make):
    path = f"/api/products/{make.product(description='Warm or cool light. ' * 100)}"
    for headers in (ACCEPTED, {}):
        changed = ask(path, "PUT", json={"stock_quantity": 3 + len(headers)}, headers={**root, **headers})

        again = ask(path, headers={**headers, "If-None-Match": changed.headers["ETag"]})
        gone = ask(path, "DELETE", headers={**root, **headers, "If-Match": changed.headers["ETag"]})
        ask(path, "PUT", json={"is_active": True}, headers=root)

        assert (again.status_int, gone.status_int) == (304, 200)


def test_an_export_is_compressed_while_it_is_read(ask, root, make):
    make.products(20)
    path = "/api/products/export"

    packed, other = ask(path, headers={**root, **ACCEPTED}), ask(path, headers=root)

    assert packed.headers["Content-Encoding"] == "gzip" and "Content-Length" not in packed.headers
    assert plain(packed) == other.body and packed.headers["Content-Type"] == other.headers["Content-Type"]
    assert "Accept-Encoding" in vary(packed) & vary(other)


def test_what_only_an_administrator_sees_is_compressed_and_stays_private(ask, root, make):
    path = f"/api/products/{make.product(description='Warm light. ' * 200, is_active=0)}"

    answer = ask(path, headers={**root, **ACCEPTED})

    assert answer.headers["Content-Encoding"] == "gzip" and json.loads(plain(answer))["data"]["is_active"] is False
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert vary(answer) == {"Origin", "Authorization", "Accept-Encoding"}
    assert ask(path, headers=ACCEPTED).status_int == 404


def test_a_token_that_is_sent_along_does_not_keep_an_answer_from_being_compressed(client, ask, make):
    make.products(20)
    register(client)

    answer = ask("/api/products", headers={**bearer(login(client)), **ACCEPTED})

    assert answer.headers["Content-Encoding"] == "gzip"
