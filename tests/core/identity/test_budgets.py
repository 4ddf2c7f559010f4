"""Expensive requests: a budget for each address, few at a time, and what counts as expensive."""

import dataclasses
import re
import threading
import time

import pytest
from bottle import Bottle
from helpers import LONG, SETTINGS, as_url, execute
from limits import parse_many
from test_products_search import large

from core.app import app
from core.errors import RateLimited, ServiceUnavailable
from core.identity import budgets
from core.identity.budgets import Budget, Budgets
from core.identity.counters import Counters
from core.identity.limits import Limits
from resources import products_list, products_zones

assert large  # a fixture of that page

TOO_SHORT = "/api/products?search=a+e+i&sort=price&facets=true"


@pytest.fixture
def counting(wired, sql, monkeypatch):
    """The shop with its limits on, and answers cached; every request that costs anything is counted."""
    monkeypatch.setattr(budgets, "FREE", 1)
    settings = dataclasses.replace(SETTINGS, rate_limits=True, cache_ttl=60, count_cache_ttl=60)
    return wired(settings)


def allow(monkeypatch, rows):
    """Let each address spend so many rows a minute on the list of products."""
    route = next(route for route in app.routes if (route.method, route.rule) == ("GET", "/api/products"))
    monkeypatch.setattr(route.config["budget"], "items", parse_many(f"{rows}/minute"))


def test_an_address_past_its_budget_is_told_when_to_come_back_and_others_are_served(counting, monkeypatch):
    allow(monkeypatch, 2 * products_zones.COST + 50)

    statuses = [counting.get(f"/api/products?search=word{n}", status="*").status_int for n in range(4)]
    refused = counting.get("/api/products?search=word5", status="*")
    other = counting.get("/api/products?search=word6", extra_environ={"REMOTE_ADDR": "203.0.113.9"})

    assert statuses == [200, 200, 429, 429]
    assert refused.json["error"]["code"] == "RATE_LIMITED" and 1 <= int(refused.headers["Retry-After"]) <= 60
    assert other.status_int == 200


def test_a_429_of_the_budget_says_that_nothing_is_left_of_it(counting, monkeypatch):
    allow(monkeypatch, products_zones.COST + 50)

    answers = [counting.get(f"/api/products?search=word{n}", status="*") for n in range(2)]

    assert [answer.status_int for answer in answers] == [200, 429]
    wait = answers[1].headers["Retry-After"]
    assert answers[1].headers.getall("RateLimit") == [f'"search";r=0;t={wait}']
    assert len(answers[1].headers.getall("RateLimit-Policy")) == 1


def test_an_answer_from_memory_costs_nothing(counting, monkeypatch):
    allow(monkeypatch, products_zones.COST + 50)

    statuses = [counting.get("/api/products?search=lamp", status="*").status_int for _ in range(20)]

    assert statuses == [200] * 20


def test_counts_of_several_categories_cost_each_time_that_one_is_not_cached(counting, monkeypatch):
    """Or who asks for 20 that there are not would drive the counts that others need out of memory, for nothing."""
    allow(monkeypatch, 3 * products_list.ONE_OF_SEVERAL)

    asked = ("1,2,3", "3,2", "1,3&page=2", "1,4")
    statuses = [counting.get(f"/api/products?category_id={ids}", status="*").status_int for ids in asked]

    assert statuses == [200, 200, 200, 429]


def test_who_only_looks_at_lists_and_products_has_nothing_counted(counting, make, monkeypatch):
    id = make.product()
    allow(monkeypatch, 1)

    for path in ("/api/products", "/api/products?page=3&sort=-price", f"/api/products/{id}", "/api/categories"):
        answer = counting.get(path)
        assert answer.status_int == 200 and "RateLimit" not in answer.headers


def routed(threads):
    """Return (`ask(rows)`, `done`): a route with a budget on so many threads, which works until `done` is set."""
    done = threading.Event()
    bottle = Bottle()
    route = bottle.get("/", callback=lambda: None, budget=Budget("test", "1000/minute")) and bottle.routes[0]

    def handler(rows, spend):
        spend(rows)
        done.wait(20)
        return "done"

    plugin = Budgets(Limits(Counters(), enabled=False), threads)
    return plugin.apply(handler, route), done


def test_few_dear_requests_run_at_once_some_wait_and_the_rest_is_refused_at_once():
    ask, done = routed(threads=16)
    outcomes = []

    def one():
        began = time.monotonic()
        try:
            outcomes.append(ask(rows=budgets.EXPENSIVE))
        except ServiceUnavailable as error:
            outcomes.append((error.headers["Retry-After"], time.monotonic() - began))

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while len(outcomes) < 10 and time.monotonic() < deadline:
        time.sleep(0.02)
    refused = list(outcomes)
    ordinary = threading.Thread(target=lambda: outcomes.append(("ordinary", ask(rows=budgets.EXPENSIVE - 1))))
    ordinary.start()
    done.set()
    for thread in [*threads, ordinary]:
        thread.join(10)

    assert len(refused) == 10 and all(after == "1" for after, _ in refused)
    assert sum(waited < budgets.WAIT for _, waited in refused) == 4  # 2 have places, 6 wait for theirs
    assert outcomes.count("done") == 2 and ("ordinary", "done") in outcomes


def test_a_place_is_given_back_whatever_becomes_of_the_request():
    bottle = Bottle()
    bottle.get("/", callback=lambda: None, budget=Budget("test", "1000/minute"))

    def broken(spend):
        spend(budgets.EXPENSIVE)
        raise RateLimited(1)

    ask = Budgets(Limits(Counters(), enabled=False), threads=1).apply(broken, bottle.routes[0])

    for _ in range(5):
        with pytest.raises(RateLimited):
            ask()


# With a catalogue of size


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "least", "most"),
    [
        ("", 0, 0),
        ("search=aurora", 0, 8_000),
        ("search=4k", 18_000, 20_000),
        ("search=a+e+i", 10_000, 12_000),
        ("search=a+e+i&facets=true", 20_000, 24_000),
        ("search=small&facets=true", 2_000, 8_000),
        ("search=and%F0%A0%80%80", 0, 1_000),  # the index gives all that have "and"; no zone has that letter
        ("search=signaturegreen", 2_000, 120_000),  # and all that have both parts, wherever they stand
        ("sort=name&page=900", 0, 0),  # passing over 18,000 entries of an index takes 2 ms
    ],
)
def test_what_a_request_costs_is_known_from_its_words_its_facets_and_its_place(large, wired, query, least, most):
    shop = wired(dataclasses.replace(SETTINGS, rate_limits=True))

    answer = shop.get(f"/api/products?{query}")

    left = re.search(r"r=([0-9]+)", answer.headers.get("RateLimit", "r=600000"))
    assert least <= 600_000 - int(left[1]) <= most


@pytest.mark.slow
def test_a_flood_of_searches_leaves_the_shop_to_its_visitors(large, accounts, start):
    shop = start(
        *("--workers", "1", "--threads", "4"),
        DATABASE_URL=as_url(accounts.application),
        TRUSTED_PROXIES="127.0.0.1",
    )
    answers, at_once, over = [], [], threading.Event()

    def attack(number):
        tries = 0
        while not over.is_set():
            tries += 1
            price = f"{number}.{tries % 100:02}"
            answers.append(shop.request(f"{TOO_SHORT}&min_price={price}", X_Forwarded_For=f"203.0.113.{number}"))

    threads = [threading.Thread(target=attack, args=(number,)) for number in range(1, 21)]
    for thread in threads:
        thread.start()
    visits = []
    until = time.monotonic() + 4

    def enough():
        told = {answer.status for answer in answers}
        return len(visits) >= 10 and 200 in told and told & {429, 503} and time.monotonic() > until

    while not enough() and time.monotonic() < until + LONG:
        visits.append(shop.request(f"/api/products?page={len(visits) % 50 + 1}"))
        running = execute(accounts.owner, "SELECT info FROM information_schema.processlist WHERE info LIKE '%read%'")
        at_once.append(sum("/* products/read" in row["info"] for row in running))
    over.set()
    for thread in threads:
        thread.join(30)

    refused = [answer for answer in answers if answer.status != 200]
    assert {answer.status for answer in visits} == {200} and len(visits) >= 10
    assert max(at_once) <= 1  # one place for four threads
    assert refused and {answer.status for answer in refused} <= {429, 503}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert any(answer.status == 200 for answer in answers)


def test_the_document_says_that_a_route_with_a_budget_may_refuse(client):
    document = client.get("/api/openapi.json").json

    assert "429" in document["paths"]["/api/products"]["get"]["responses"]
    assert "429" not in document["paths"]["/api/categories"]["get"]["responses"]
