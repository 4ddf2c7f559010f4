"""What the shop counts of its business, for GET /metrics: each thing that was stored, once."""

import dataclasses

import pytest
from helpers import PASSWORD, SETTINGS, register
from test_orders_payments import key, pay, place

from core.app import app
from core.db.database import Database
from core.db.drivers import DatabaseError
from core.db.session import Session
from resources import orders_canceling


def test_an_order_that_was_placed_is_counted_once_however_often_it_is_sent(client, make, counted):
    place(client, make)
    tea = make.product(price="10.00", stock=5)
    make.cart("other", tea)
    headers = {"Session-ID": "other", **key()}
    for _ in range(3):
        client.post_json("/api/orders", {"expected_total": 10, "email": "a@example.com"}, headers=headers)

    assert counted("bodega_orders_placed_total") == 2


def test_an_order_that_is_refused_is_not_counted(client, make, counted):
    make.cart("poor", make.product(price="10.00"))

    refused = client.post_json(
        "/api/orders", {"expected_total": 3, "email": "a@example.com"}, headers={"Session-ID": "poor", **key()}
    )

    assert refused.status_int == 409
    assert counted("bodega_orders_placed_total") == 0


def test_an_order_that_meets_a_deadlock_is_counted_once(client, make, counted, monkeypatch):
    """The handler runs twice, and comes as far as to count it both times."""
    commits = []
    commit = Session.commit

    def deadlock(session):
        if session.begun and not commits:
            commits.append("failed")
            raise DatabaseError[0](1213, "Deadlock found")
        commit(session)

    monkeypatch.setattr(Session, "commit", deadlock)
    place(client, make)

    assert commits == ["failed"]
    assert counted("bodega_orders_placed_total") == 1


def test_an_order_is_counted_as_paid_by_its_provider(client, make, counted):
    order = place(client, make)
    pay(client, order, outcome="decline")
    assert counted("bodega_orders_paid_total", "dummy") == 0
    for _ in range(2):
        pay(client, order)

    assert counted("bodega_orders_paid_total", "dummy") == 1


def test_an_order_that_expires_is_counted_once(client, make, counted, sql):
    database = next(plugin for plugin in app.plugins if isinstance(plugin, Database))
    place(client, make)
    sql("UPDATE orders SET expires_at = CURRENT_TIMESTAMP - INTERVAL 1 SECOND")

    for _ in range(2):
        orders_canceling.expire(database)

    assert counted("bodega_orders_expired_total") == 1


@pytest.mark.parametrize("username", ["alice", "nobody"])
def test_a_login_that_is_refused_is_counted_by_why(wired, sql, counted, username):
    limited = wired(dataclasses.replace(SETTINGS, rate_limits=True))
    register(limited, "alice")
    typed = {"username": username, "password": "Wrong-Horse-7"}

    statuses = [limited.post_json("/api/users/login", typed, status="*").status_int for _ in range(7)]

    assert statuses == [401] * 5 + [429] * 2
    assert counted("bodega_logins_refused_total", "password") == 5
    assert counted("bodega_logins_refused_total", "delay") == 2


def test_a_login_that_succeeds_is_not_counted(client, counted):
    register(client, "alice")
    client.post_json("/api/users/login", {"username": "alice", "password": PASSWORD})

    assert counted("bodega_logins_refused_total", "password") == 0


def test_connections_are_in_use_while_a_transaction_runs(client, counted, monkeypatch):
    seen = []
    monkeypatch.setattr(Session, "many", lambda *_, **__: seen.append(counted("db_client_connection_count", "used")))
    client.get("/api/categories")

    assert seen == [2]  # a gauge has 1 more
    assert counted("db_client_connection_count", "used") == 1
