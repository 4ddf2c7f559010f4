"""The database takes a second for each reply, and 60 clients ask: whoever is refused knows it soon."""

import threading
import time

import pytest
from arrivals import good, quantile, regulars

CART = ["/api/cart"]
DELAY = 1.0
ALWAYS = ["/api/health", "/api/categories"]  # the latter is in memory


@pytest.fixture
def slow_shop(proxy, database, serve, make):
    """`slow_shop(**settings)`: a shop of one worker whose database becomes slow, and how long it needs for one cart."""

    def begin(**settings):
        make.category()
        shop = serve(proxy.login(database.application), workers=1, threads=8, CACHE_TTL="3600", **settings)
        assert {shop.request(path).status for path in ALWAYS} == {200}
        proxy.delay = DELAY
        (first, *_) = regulars(shop.port, CART, 1, 0.1)
        assert first.status == 200
        return shop, first.seconds

    return begin


def ask_for_carts(shop, seconds, meanwhile):
    """Return what 60 clients are told in so many seconds, while `meanwhile()` runs."""
    told = []
    asking = threading.Thread(target=lambda: told.extend(regulars(shop.port, CART, 60, seconds, think=1)))
    asking.start()
    try:
        meanwhile()
    finally:
        asking.join()
    return told


def test_nobody_waits_longer_than_the_timeout_for_a_thread_and_all_is_well_a_second_after(
    slow_shop, proxy, lag, figure, either
):
    shop, alone = slow_shop()
    quick, began = [], time.monotonic()
    ended = began + (lasts := either(7, 60))

    def meanwhile():
        while time.monotonic() < ended:
            quick.extend(regulars(shop.port, ALWAYS, 1, 0.2))
            time.sleep(0.1)
        proxy.pass_on()

    told = ask_for_carts(shop, lasts + 4, meanwhile)

    slow = [one for one in told if one.at + one.seconds < ended]
    refused = sorted(one.seconds for one in slow if one.status == 503)
    served = good(slow)
    late = max((one.at + one.seconds - ended for one in told if one.status == 503), default=0.0)
    figure("one cart alone", alone, "s")
    figure("the same beside 60 clients, at most", served[-1], "s")
    figure("median of the refusals", quantile(refused, 0.5), "s")
    figure("the latest refusal", refused[-1], "s")
    figure("health and pages in memory meanwhile, 99th percentile", quantile(good(quick), 0.99), "s")
    figure("the last refusal after the database was fast again", max(late, 0.0), "s")
    assert {one.status for one in told} == {200, 503} and all(one.sound for one in told)
    assert refused[-1] < lag.bound(1.25, began)
    assert served[-1] < lag.bound(alone + 1.1, began)
    assert len(served) > 0.8 * 7 * (ended - began) / alone - 7  # seven threads serve, the eighth reads
    assert {one.status for one in quick} == {200}
    assert quantile(good(quick), 0.99) < lag.bound(0.05, began)
    assert late < lag.bound(1.25, began)  # who came just before may wait for QUEUE_TIMEOUT, and a look


def test_control_without_the_timeout_they_wait_for_many_times_as_long(slow_shop, proxy, figure):
    shop, alone = slow_shop(QUEUE_TIMEOUT="3600")

    told = ask_for_carts(shop, 1, lambda: time.sleep(8))

    figure("the longest wait of 60 clients without the timeout", max(one.seconds for one in told), "s")
    assert {one.status for one in told} == {200}
    assert max(one.seconds for one in told) > 2 * alone  # with it, alone + QUEUE_TIMEOUT at the most
