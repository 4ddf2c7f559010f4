"""Hosts that share a Redis see one another's changes at once; without it, when their cached answers are out of date."""

import signal
import threading
import time

import pytest
from helpers import as_url, eventually

from core.cache import Cache, Generation
from core.identity.changes import Changes
from core.identity.counters import AWAY, Counters

LONG_CACHED = {"CACHE_TTL": "600", "COUNT_CACHE_TTL": "600"}
OTHER = "another name"


@pytest.fixture
def hosts(start, accounts, make):
    """`hosts(**variables)`: two shops on one database, and a product that both have in memory; (shops, its path)."""

    def begin(**variables):
        settings = {"DATABASE_URL": as_url(accounts.application), **LONG_CACHED, **variables}
        shops = [start("--workers", "1", "--threads", "2", **settings) for _ in range(2)]
        path = f"/api/products/{make.product()}"
        for shop in shops:
            assert eventually(lambda shop=shop: from_memory(shop, path))
        return shops, path

    return begin


def from_memory(shop, path):
    return shop.request(path).headers["Age"] is not None


def rename(shop, path, sql, name):
    """Let an administrator rename the product at one shop."""
    account = {"username": "keeper", "password": "Correct-Horse-7"}
    shop.request("/api/users/register", "POST", {**account, "email": "keeper@example.com"})
    sql("UPDATE users SET role = 'admin' WHERE username = 'keeper'", by_hand=False)
    token = shop.request("/api/users/login", "POST", account).json["data"]["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert shop.request(path, "PUT", {"name": name}, **bearer).status == 200


def name_at(shop, path):
    return shop.request(path).json["data"]["name"]


@pytest.mark.slow
def test_with_a_redis_a_change_at_one_host_is_seen_at_the_other_at_once(hosts, redis, sql):
    redis()
    (one, other), path = hosts(RATE_LIMIT_STORAGE=redis.url)

    rename(one, path, sql, OTHER)

    assert name_at(one, path) == OTHER
    assert eventually(lambda: name_at(other, path) == OTHER)


@pytest.mark.slow
def test_without_a_redis_the_other_host_goes_on_with_what_it_has_cached(hosts, sql):
    (one, other), path = hosts()

    rename(one, path, sql, OTHER)

    assert name_at(one, path) == OTHER
    assert {name_at(other, path) != OTHER for _ in range(20)} == {True}


@pytest.fixture
def told(redis):
    """`told()`: a Generation that hears of others' changes by this Redis, and the Changes of another host."""
    listening = []

    def begin():
        own = Generation()
        listening.append(Changes(Counters(redis.url), own, "shop"))
        listening[-1].listen()
        others = Changes(Counters(redis.url), Generation(), "shop")
        assert eventually(lambda: advances(own, others.tell))
        return own, others

    yield begin
    for changes in listening:
        changes._hear = lambda messages: threading.Event().wait()  # its thread says nothing any more


def advances(generation, tell):
    """Whether the generation is another one soon after `tell()`."""
    before = generation.number
    tell()
    time.sleep(0.05)
    return generation.number != before


def test_a_host_hears_of_others_changes_of_its_own_shop_alone_and_not_of_its_own(redis, told):
    redis()
    own, others = told()

    itself = Changes(Counters(redis.url), own, "shop")
    another_shop = Changes(Counters(redis.url), Generation(), "another_shop")

    assert not advances(own, itself.tell)
    assert not advances(own, another_shop.tell)
    assert eventually(lambda: advances(own, others.tell))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["killed", "silent"])
def test_what_was_changed_while_redis_was_away_is_void_when_it_is_back(redis, told, fault):
    process = redis()
    own, others = told()

    if fault == "killed":
        process.kill()
        process.wait()
        assert not advances(own, others.tell)
        redis()
    else:
        process.send_signal(signal.SIGSTOP)
        assert not advances(own, others.tell)
        time.sleep(3.5 * AWAY)  # until it is noticed: two pings without an answer
        process.send_signal(signal.SIGCONT)
    before = own.number

    assert eventually(lambda: own.number != before, 30)
    assert eventually(lambda: advances(own, others.tell), 30)


def test_a_change_of_what_no_answer_shows_is_told_to_nobody():
    cache, told = Cache(5, 5, 1000), []
    cache.tables = {"products"}
    cache.tell = lambda: told.append(1)

    cache.changed({"carts"})
    assert not told
    cache.changed({"carts", "products"})
    assert told == [1]


def test_a_redis_that_is_away_holds_up_no_change(redis):
    others = Changes(Counters(redis.url), Generation(), "shop")  # none was started
    began = time.monotonic()

    for _ in range(100):
        others.tell()

    assert time.monotonic() - began < AWAY
