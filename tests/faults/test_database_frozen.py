"""The database frozen, or behind a black hole: who needs it hears soon that it is away; all else goes on.

Without the circuit breaker each request waits for its whole time-out, throughout.
"""

import dataclasses
import statistics
import time

import pytest
from clients import between, shop_where, slowest, visited
from helpers import IN_C, eventually
from load import LONG_FORM

FROZEN_FOR = 8 if LONG_FORM else 5  # seconds
KNOWN = 2.7  # seconds after which each worker must know: DATABASE_TIMEOUT, the probe, and a client that comes late
NO_BREAKER = shop_where("from core.db.breaker import Breaker; Breaker.trip = lambda *_: False")

CASES = [("frozen", "pymysql"), ("black hole", "mysqldb")]
CASES += [("frozen", "mysqldb"), ("black hole", "pymysql")] * LONG_FORM


@pytest.mark.parametrize(
    ("fault", "driver"), [pytest.param(*case, marks=[IN_C] * (case[1] == "mysqldb")) for case in CASES]
)
def test_while_the_database_does_not_answer_nobody_waits_long_and_pages_in_memory_are_served(
    database, proxy, serve, products, lag, figure, fault, driver
):
    login = dataclasses.replace(proxy.login(database.application), driver=driver)
    shop = serve(login, CACHE_TTL="1")
    pages = ["/api/products", f"/api/products/{products[0]}", "/api/categories"]
    with visited(shop) as clients:
        needing = clients.ask(["/api/cart"], 12, Session_ID="visitor")
        health = clients.ask(["/api/health"], 4)
        catalogue = clients.ask(pages, 4)
        time.sleep(1.5)
        gone = database.freeze() if fault == "frozen" else proxy.hole() or time.monotonic()
        time.sleep(FROZEN_FOR)
        back = database.thaw() if fault == "frozen" else proxy.pass_on() or time.monotonic()
        time.sleep(2)

    first = between(needing, gone, gone + KNOWN)
    known = between(needing, gone + KNOWN, back)
    late = lag.worst(gone)
    figure(f"{fault}, {driver}: a request at first, at most", slowest(first), "s")
    figure(f"{fault}, {driver}: once it is known, at most", slowest(known), "s")
    figure(f"{fault}, {driver}: once it is known, median", statistics.median(one.seconds for one in known), "s")
    assert {one.status for one in known} == {503} and {one.headers["Retry-After"] for one in known} == {"1"}
    assert slowest(first) <= lag.bound(2.5, gone)
    assert slowest(known) <= lag.bound(0.1, gone), late

    figure(f"{fault}, {driver}: /api/health, at most", slowest(between(health, gone, back)), "s")
    assert {one.status for one in health} == {200}
    assert slowest(between(health, gone, back)) <= lag.bound(0.05, gone), late

    stale = between(catalogue, gone + KNOWN, back)
    figure(f"{fault}, {driver}: pages from memory", len(stale))
    assert {one.status for one in catalogue} == {200}  # those too that were asked for before it was known
    assert slowest(between(catalogue, gone, back)) <= lag.bound(2.5, gone)
    assert slowest(stale) <= lag.bound(0.1, gone), late
    assert {one.headers["Cache-Control"] for one in catalogue} == {"public, max-age=0, stale-if-error=60"}
    for one in stale:  # it was made before the fault, and not long before
        assert one.at - gone - 1 < int(one.headers["Age"]) < one.at + one.seconds - gone + 1.5 + 1

    failed = [one.at - back for one in needing if one.status != 200 and one.at >= back]
    figure(f"{fault}, {driver}: errors end after it answers again", max([0.0, *failed]), "s")
    assert max([0.0, *failed]) <= lag.bound(1, back)
    assert {one.status for one in needing} == {200, 503}
    assert {one.headers["Age"] for one in between(catalogue, back + lag.bound(1.5, back))} <= {"0", "1"}

    opened = shop.log.count("and is left alone until it answers")
    assert 2 <= opened <= 3  # one line for each worker, and the chores
    assert eventually(lambda: shop.log.count("answers again, after") == opened)
    assert "Traceback" not in shop.log


def test_control_without_the_breaker_each_request_waits_throughout_and_without_cache_stale_so_does_the_catalogue(
    database, serve, products
):
    shop = serve(program=NO_BREAKER, CACHE_STALE="0", CACHE_TTL="1")
    with visited(shop) as clients:
        needing = clients.ask(["/api/cart"], 4, Session_ID="visitor")
        catalogue = clients.ask(["/api/products"], 2)
        time.sleep(0.5)
        gone = database.freeze()
        time.sleep(KNOWN + 1)
        database.thaw()

    known = between(needing, gone + KNOWN - 1, gone + KNOWN)
    assert known and max(one.seconds for one in known) > 0.9
    assert 503 in {one.status for one in catalogue}
