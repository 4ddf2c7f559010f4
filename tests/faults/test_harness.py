"""What these tests stand on: the proxy does what it is told, and the audit finds each broken promise."""

import time

import pytest
from helpers import connections_of, execute
from load import PATIENT, Asked, Load, Visit, shopping

from core.db import drivers


@pytest.fixture
def by_proxy(proxy, database):
    """`by_proxy(statement)`: run it as the owner by way of the proxy, with a timeout of 1 s."""
    connection = drivers.connect(proxy.login(database.owner), 1)
    assert isinstance(connection, connections_of(database.owner))

    def run(statement):
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    yield run
    connection.close()


def fails(work, *arguments):
    """Return the number of the database error that this raises, and the seconds that it took."""
    began = time.monotonic()
    with pytest.raises(drivers.DatabaseError) as raised:
        work(*arguments)
    return drivers.number(raised.value), time.monotonic() - began


def test_a_proxy_delays_each_reply_and_passes_on_again(proxy, by_proxy, lag):
    proxy.delay = 0.4
    began = time.monotonic()
    by_proxy("SELECT 1")
    assert 0.4 <= time.monotonic() - began < lag.bound(0.9, began)

    proxy.pass_on()
    began = time.monotonic()
    by_proxy("SELECT 1")
    assert time.monotonic() - began < lag.bound(0.3, began)


def test_a_black_hole_answers_no_statement_and_no_syn_and_a_refusal_answers_at_once(proxy, database, by_proxy, lag):
    login = proxy.login(database.owner)

    proxy.hole()
    assert fails(by_proxy, "SELECT 1")[0] == 2013
    code, seconds = fails(drivers.connect, login, 1)
    assert code == 2003 and seconds > 0.9

    proxy.pass_on()
    assert execute(login, "SELECT 1 AS n") == [{"n": 1}]

    proxy.refuse()
    code, seconds = fails(drivers.connect, login, 1)
    assert code == 2003 and seconds < lag.bound(0.5)

    proxy.pass_on()
    assert execute(login, "SELECT 1 AS n") == [{"n": 1}]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_is_cut_before_or_after_the_nth_statement_is_done(proxy, database, by_proxy, when):
    cut = proxy.cut("INSERT INTO missed_searches", when, nth=2)
    line = "INSERT INTO missed_searches VALUES ('{}', 1, CURDATE(), CURDATE())"

    by_proxy(line.format("one"))
    assert not cut.done
    fails(by_proxy, line.format("two"))

    assert cut.done
    rows = execute(database.owner, "SELECT words FROM missed_searches")
    assert len(rows) == (2 if when == "after" else 1)


def test_a_frozen_database_takes_connections_and_says_nothing_until_it_is_thawed(database):
    database.freeze()
    code, seconds = fails(drivers.connect, database.owner, 1)
    assert code in (2003, 2013) and seconds > 0.9

    database.thaw()
    assert execute(database.owner, "SELECT 1 AS n") == [{"n": 1}]


def test_shoppers_buy_at_the_rate_that_they_are_given_and_the_audit_is_content(serve, products, sql, figure):
    shop, rates = serve(**PATIENT), []

    for turn in range(5):  # a machine that is busy may be too slow for it, and never too fast
        with shopping(shop.url, products, rate=100, run=f"shopper{turn}") as load:
            time.sleep(3)

        kept = load.audit(sql)
        began = min(one.at for one in load.asked)
        rates.append(len(load.took(until=began + 2)) / 2)
        figure("requests a second of 100", rates[-1], "1/s")
        assert kept["orders"] == kept["payments"] > 0 and kept["failures"] == kept["uncertain"] == 0
        if rates[-1] > 60:
            break

    assert rates[-1] > 60 and max(rates) < 110


SOUND = Visit("ada", [(7, 2, True)], "yes", "AAAAA-00001", "20.00", "yes")
TABLES = {
    "orders": [
        {"id": 1, "number": "AAAAA-00001", "email": "ada@example.com", "total": "20.00", "payment_status": "paid"}
    ],
    "cart_items": [],
    "order_items": [{"email": "ada@example.com", "p": 7, "q": 2}],
    "payments": [{"order_id": 1}],
}
LATER = {"id": 2, "number": "AAAAA-00002", "email": "ada@example.com", "total": "20.00", "payment_status": "paid"}
REFUSED = Asked("order", 1.0, 0.1, 503, "SERVICE_UNAVAILABLE", None)


def audited(visit=SOUND, asked=(), stock=None, **tables):
    """Audit one visit against these rows."""

    def sql(statement):
        return next(rows for table, rows in {**TABLES, **tables}.items() if f"FROM {table}" in statement)

    return Load(None, list(asked), [visit]).audit(sql, stock=stock)


def test_the_audit_is_content_with_what_was_promised():
    audited(asked=[REFUSED, REFUSED._replace(status=409, code="IN_PROGRESS")])
    audited(stock=10, products=[{"id": 7, "pieces": 10}])
    audited(SOUND._replace(ordered="perhaps", number=None, paid="no"))
    audited(SOUND._replace(added=[(7, 2, False)], ordered="no", paid="no"), orders=[], order_items=[], payments=[])


@pytest.mark.parametrize(
    "broken",
    [
        {"orders": [], "order_items": [], "payments": []},  # lost
        {"orders": [*TABLES["orders"], LATER]},  # twice
        {"orders": [TABLES["orders"][0] | {"total": "10.00"}]},
        {"orders": [TABLES["orders"][0] | {"payment_status": "unpaid"}]},
        {"order_items": [{"email": "ada@example.com", "p": 7, "q": 1}]},
        {"cart_items": [{"s": "ada", "p": 7, "q": 2}]},  # added twice
        {"payments": []},
        {"payments": [{"order_id": 1}, {"order_id": 1}]},
        {"visit": SOUND._replace(ordered="no", number=None, paid="no")},  # told no, and done
        {"stock": 10, "products": [{"id": 7, "pieces": 9}]},  # neither in stock nor in an order
        {"asked": [REFUSED._replace(status=500, code="INTERNAL_ERROR")]},
        {"asked": [REFUSED._replace(wrong="there is no Retry-After")]},
        {"asked": [REFUSED._replace(status=409, code="CART_CHANGED")]},
        {"asked": [REFUSED._replace(status=0, code="reset")]},
    ],
)
def test_the_audit_finds_each_broken_promise(broken):
    with pytest.raises(AssertionError, match="problems"):
        audited(**broken)
