"""Hosts that share a Redis see one another's changes at once; without it, when their cached answers are out of date."""

import signal
import threading
import time

import pytest
from helpers import as_url, eventually

from core.cache import Cache, Generation
from core.identity.changes import Changes
from core.identity.counters import WITHIN, Counters

LONG_CACHED = {"CACHE_TTL": "600", "COUNT_CACHE_TTL": "600"}
OTHER = "another name"
SOON = 0.3  # seconds, in place of AWAY


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


class Counted(Generation):
    """A Generation that counts how often it was replaced."""

    times = 0

    def advance(self):
        super().advance()
        self.times += 1


@pytest.fixture
def told(redis):
    """`told()`: a Counted that hears of others' changes by this Redis, and the Changes of another host."""
    listening = []

    def begin():
        own = Counted()
        listening.append(Changes(Counters(redis.url), own, "shop"))
        listening[-1].listen()
        assert eventually(lambda: own.times)  # it hears from now on
        return own, Changes(Counters(redis.url), Generation(), "shop")

    yield begin
    for changes in listening:
        changes._hear = lambda messages: threading.Event().wait()  # its thread says nothing any more


def test_a_host_hears_of_others_changes_of_its_own_shop_alone_and_not_of_its_own(redis, told):
    redis()
    own, others = told()

    Changes(Counters(redis.url), own, "shop").tell()
    Changes(Counters(redis.url), Generation(), "another_shop").tell()
    others.tell()  # Redis tells in this order

    assert eventually(lambda: own.times > 1)
    assert not eventually(lambda: own.times > 2, 0.2)


@pytest.mark.parametrize("fault", ["killed", "silent"])
def test_what_was_changed_while_redis_was_away_is_void_when_it_is_back(redis, told, caplog, monkeypatch, fault):
    for module in ("changes", "counters"):
        monkeypatch.setattr(f"core.identity.{module}.AWAY", SOON)
    process = redis()
    own, others = told()
    before = own.times

    if fault == "killed":
        process.kill()
        process.wait()
        redis()
    else:
        process.send_signal(signal.SIGSTOP)
        assert eventually(lambda: "it has said nothing" in caplog.text, 30)
        process.send_signal(signal.SIGCONT)
    assert eventually(lambda: own.times > before, 30)  # nobody has told it anything

    before = own.times
    assert eventually(lambda: others.tell() or own.times > before, 30)


def test_a_change_of_what_no_answer_shows_is_told_to_nobody():
    cache, told = Cache(5, 5, 1000), []
    cache.tables = {"products"}
    cache.tell = lambda: told.append(1)

    cache.changed({"carts"})
    assert not told
    cache.changed({"carts", "products"})
    assert told == [1]


@pytest.mark.parametrize("fault", ["not started", "silent"])
def test_a_redis_that_is_away_holds_up_one_change_only_and_for_half_a_second(redis, lag, fault):
    if fault == "silent":
        process = redis()
    others = Changes(Counters(redis.url), Generation(), "shop")
    if fault == "silent":
        others.tell()
        process.send_signal(signal.SIGSTOP)
    began = time.monotonic()

    for _ in range(100):
        others.tell()

    assert time.monotonic() - began < lag.bound(2 * WITHIN, began)
