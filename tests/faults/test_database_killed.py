"""The database killed with -9 under load, and started again at once."""

import dataclasses
import time

import pytest
from helpers import IN_C
from load import STOCK, shopping

RATE = 200  # requests a second


def killed_under_load(database, shop, products, times, pause):
    """Shop, and kill the database so often; return the load, and for each time when it was killed and back."""
    moments = []
    with shopping(shop.url, products, rate=RATE) as load:
        time.sleep(1)
        for _ in range(times):
            killed = database.kill()
            moments.append((killed, database.start()))
            time.sleep(pause)
    return load, moments


@pytest.mark.parametrize("driver", ["pymysql", pytest.param("mysqldb", marks=IN_C)])
def test_kill_9_of_the_database_loses_nothing_acknowledged_and_applies_nothing_twice(
    database, serve, products, sql, lag, figure, either, driver
):
    shop = serve(dataclasses.replace(database.application, driver=driver))

    load, moments = killed_under_load(database, shop, products, either(2, 20), either(2.5, 4))

    kept = load.audit(sql, stock=STOCK)
    for name, count in kept.items():
        figure(name, count)
    assert kept["failures"] and kept["orders"] and kept["payments"]
    for killed, back in moments:
        late = [one.at - back for one in load.failed(since=killed, until=back + 2) if one.status == 503]
        figure("last failure after the database accepts again", max(late, default=0.0), "s")
        assert max(late, default=0.0) <= lag.bound(1, since=killed)


def test_a_database_that_stores_once_a_second_does_lose_acknowledged_writes_and_the_audit_sees_it(
    database, serve, products, sql
):
    """The control. Its log is written by a timer, so that kill -9 takes what was committed since."""
    database.stop()
    database.start("--innodb-flush-log-at-trx-commit=0", "--innodb-flush-log-at-timeout=60")
    load, _ = killed_under_load(database, serve(), products, 1, 1)
    database.stop()
    database.start()

    with pytest.raises(AssertionError, match=r"0 orders are there|0 pieces of product"):
        load.audit(sql)
