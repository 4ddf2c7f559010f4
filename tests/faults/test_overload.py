"""Twice as many requests as the shop can answer: it refuses some soon, and answers as many as ever."""

import time

from arrivals import arrive, good, quantile, regulars

DELAY = 0.1  # seconds of the database for each reply: it sets the capacity, and not this machine
CAPACITY = 7 / DELAY  # answers a second: of eight threads, one reads
PATIENCE = 2  # seconds for which a client waits
ROUNDS = 3  # of which one has to show it: that a machine has other work meanwhile says nothing of the shop
UNCACHED = {"CACHE_TTL": "0", "COUNT_CACHE_TTL": "0"}


def at_twice_the_capacity(shop, products, seconds):
    """Return the peak of answers a second, and what those are told who come twice as often; but for the beginning."""
    paths = [f"/api/products/{product}" for product in products]
    peak = len(good(regulars(shop.port, paths, 7, 3))) / 3
    told = arrive(shop.port, paths, 2 * CAPACITY, seconds, PATIENCE)
    begun = told[0].at + 3
    return peak, [one for one in told if one.at >= begun]


def test_at_twice_the_capacity_as_many_are_answered_as_ever(proxy, database, serve, products, lag, figure, either):
    shop = serve(proxy.login(database.application), workers=1, threads=8, **UNCACHED)
    proxy.delay = DELAY
    seconds, held = either(6, 30), False

    for _ in range(ROUNDS):
        began = time.monotonic()
        peak, told = at_twice_the_capacity(shop, products, seconds)
        answered = good(told)
        rate = len(answered) / (seconds - 3)
        longest = max(one.seconds for one in told)
        figure("answers a second at the capacity", peak, "1/s")
        figure("the same at twice the capacity", rate, "1/s")
        figure("median of the answered at twice the capacity", quantile(answered, 0.5), "s")
        assert all(one.sound for one in told)
        in_time = {one.status for one in told} == {200, 503} and longest < lag.bound(1 + 2 * DELAY, began)
        if held := in_time and rate > 0.8 * peak:
            break

    assert held, (peak, rate, longest)


def test_control_without_the_timeout_of_the_queue_hardly_anybody_is_answered_in_time(
    proxy, database, serve, products, figure, either
):
    """The shop works for clients who have left."""
    shop = serve(proxy.login(database.application), workers=1, threads=8, QUEUE_TIMEOUT="3600", **UNCACHED)
    proxy.delay = DELAY

    peak, told = at_twice_the_capacity(shop, products, seconds := either(7, 30))

    rate = len(good(told)) / (seconds - 3)
    figure("answers a second at twice the capacity, without the timeout", rate, "1/s")
    assert rate < 0.5 * peak
