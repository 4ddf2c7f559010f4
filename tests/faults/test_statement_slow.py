"""One slow statement: whoever needs it gets a 503, the others go on, and no breaker opens."""

import hashlib
import threading
import time

import pytest
from clients import between, shop_where, slowest, visited
from load import PATIENT

from core.setup.system import ROOT

OPENED = "and is left alone until it answers"
ALWAYS_AWAY = shop_where("from core.db.breaker import Breaker; Breaker._probe = lambda *_: False")


@pytest.fixture
def by_proxy(proxy, database):
    """The login by way of the proxy."""
    return proxy.login(database.application)


def of_one(shop, proxy):
    """Let the reply to one statement never come, while others ask for carts; return (seconds, status, carts)."""
    answers = []

    def ask():
        began = time.monotonic()
        answers.append((shop.request("/api/categories").status, time.monotonic() - began))

    with visited(shop) as clients:
        carts = clients.ask(["/api/cart"], 6, Session_ID="visitor")
        time.sleep(0.5)
        cut = proxy.cut("categories/list", "never")
        asked = time.monotonic()
        one = threading.Thread(target=ask)
        one.start()
        one.join(20)
        time.sleep(1)
    ((status, seconds),) = answers
    assert cut.done
    return status, seconds, between(carts, asked)


def test_others_go_on_while_the_reply_to_one_statement_does_not_come(serve, proxy, by_proxy, lag, figure):
    began = time.monotonic()
    shop = serve(by_proxy, CACHE_TTL="0", **PATIENT)

    status, seconds, carts = of_one(shop, proxy)

    figure("the request with the slow statement", seconds, "s")
    figure("others meanwhile, at most", slowest(carts), "s")
    assert status == 503 and seconds <= lag.bound(2.5, began)
    assert {one.status for one in carts} == {200}
    assert slowest(carts) <= lag.bound(0.2, began)
    assert OPENED not in shop.log


def test_control_a_breaker_that_does_not_ask_refuses_the_others(serve, proxy, by_proxy):
    shop = serve(by_proxy, program=ALWAYS_AWAY, CACHE_TTL="0", workers=1, threads=8)

    _, _, carts = of_one(shop, proxy)

    assert 503 in {one.status for one in carts}
    assert OPENED in shop.log


def test_a_statement_that_the_database_gives_up_is_a_503_and_the_others_go_on(serve, make, tmp_path, lag):
    """A DBA has tuned a file, and it became slow."""
    began = time.monotonic()
    make.category()
    file = ROOT / "sql" / "categories" / "list.sql"
    text = file.read_text()
    replaces = f"-- replaces: {hashlib.sha256(file.read_bytes()).hexdigest()}\n"
    (tmp_path / "overlay" / "categories").mkdir(parents=True)
    slow = text.replace("ORDER BY", "WHERE SLEEP(3) = 0 ORDER BY").replace("-- used by", replaces + "-- used by")
    assert slow != text
    (tmp_path / "overlay" / "categories" / "list.sql").write_text(slow)
    shop = serve(CACHE_TTL="0", **PATIENT, SQL_OVERLAY=str(tmp_path / "overlay"))

    with visited(shop) as clients:
        carts = clients.ask(["/api/cart"], 6, Session_ID="visitor")
        answer = shop.request("/api/categories")
        time.sleep(1)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert {one.status for one in carts} == {200} and slowest(carts) <= lag.bound(0.2, began)
    assert OPENED not in shop.log
