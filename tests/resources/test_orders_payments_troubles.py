"""What providers do wrong, and what a payment meets that comes too late: nothing is lost, nobody is held up."""

import threading
import time
from decimal import Decimal
from typing import ClassVar

import pytest
from helpers import LONG, eventually
from test_orders_payments import (  # noqa: F401 - fixtures
    DUMMY,
    Slow,
    begin,
    database,
    due,
    hear,
    keeper,
    look,
    pay,
    paying,
    place,
    placed,
    states,
)

from core.errors import ValidationError
from resources import orders_canceling, orders_paying
from resources.orders_dummy import Dummy
from resources.orders_payments import wanted
from resources.orders_providers import Outcome, Providers, Refunded, Unavailable

# ruff: noqa: F811 - fixtures are parameters


def test_an_order_that_was_canceled_while_its_money_was_taken_waits_for_none_any_more(paying, placed, database, begin):
    def meanwhile():
        paying.post(f"/api/orders/{placed[0]}/cancel", headers=placed[1])
        assert states(look(paying, placed)) == ("canceled", "pending")
        return Outcome("captured")

    slow = Slow(create=Outcome("authorized", "slow-1"), capture=meanwhile, refund=Refunded("done"))

    orders_paying.advance(database, Providers(slow), begin(slow))

    assert states(look(paying, placed)) == ("canceled", "unpaid")
    assert slow.asked == ["create", "capture", "refund"]


def test_a_report_that_says_nothing_of_the_next_step_leaves_it(paying, placed, sql):
    reference = pay(paying, placed, outcome="later").json["data"]["reference"]

    hear(paying, reference, "pending")

    assert look(paying, placed)["payments"][0]["next_action"] == {"type": "wait"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "paid"},
        {"status": "captured", "reference": "with a space"},
        {"status": "captured", "reference": "ä"},
        {"status": "captured", "reference": "x" * 256},
        {"status": "captured", "reference": ""},
        {"status": "pending", "next_action": {"when": object()}},
        {"status": "pending", "next_action": {"url": "x" * 20_000}},
    ],
)
def test_an_outcome_that_cannot_be_stored_counts_as_no_answer(paying, placed, database, begin, sql, wrong, caplog):
    slow = Slow(create=[lambda: Outcome(**wrong), Outcome("captured", "slow-1")])
    providers = Providers(slow)

    orders_paying.advance(database, providers, begin(slow))

    assert states(look(paying, placed)) == ("placed", "pending")
    assert "failed" in caplog.text
    due(sql)
    orders_paying.reconcile(database, providers)
    assert states(look(paying, placed)) == ("placed", "paid")


def test_a_payment_that_cannot_go_on_holds_up_no_other(paying, make, database, sql, caplog):
    """Its provider gives two payments one reference."""
    orders = [place(paying, make, f"cart-{number}") for number in range(3)]
    first, second, third = (pay(paying, order, outcome="later").json["data"]["id"] for order in orders)
    sql("UPDATE payments SET status = 'new', retry_at = CURRENT_TIMESTAMP WHERE id IN (%s, %s)", [second, third])
    sql("UPDATE payments SET reference = NULL WHERE id = %s", [second])
    [taken] = sql("SELECT reference FROM payments WHERE id = %s", [first])
    slow = Slow(create=[Outcome("captured", taken["reference"]), Outcome("captured")])

    orders_paying.reconcile(database, Providers(slow))

    assert f"{second} cannot go on" in caplog.text
    assert [states(look(paying, order))[1] for order in orders] == ["pending", "pending", "paid"]
    assert sql("SELECT retry_at > CURRENT_TIMESTAMP AS n FROM payments WHERE id = %s", [second]) == [{"n": 1}]


def test_a_provider_that_takes_its_time_holds_up_the_chores_for_seconds_only(paying, make, database, sql, monkeypatch):
    monkeypatch.setattr(orders_paying, "SPELL", 1)
    for number in range(5):
        pay(paying, place(paying, make, f"cart-{number}"), outcome="later")
    sql("UPDATE payments SET status = 'new', retry_at = CURRENT_TIMESTAMP")
    slow = Slow(create=lambda: time.sleep(0.6) or Unavailable("down"))

    more = orders_paying.reconcile(database, Providers(slow))

    assert more and len(slow.asked) == 2
    while orders_paying.reconcile(database, Providers(slow)):
        pass
    assert len(slow.asked) == 5


def test_an_order_that_cannot_expire_holds_up_no_other(paying, make, database, sql, monkeypatch, caplog):
    orders = [place(paying, make, f"cart-{number}") for number in range(3)]
    sql("UPDATE orders SET expires_at = CURRENT_TIMESTAMP - INTERVAL 1 SECOND")
    as_it_is = orders_canceling.restock

    def breaks(db, order, lines):
        if order["number"] == orders[0][0]:
            raise RuntimeError("a bug")
        as_it_is(db, order, lines)

    monkeypatch.setattr(orders_canceling, "restock", breaks)

    orders_canceling.expire(database)

    assert [states(look(paying, order))[0] for order in orders] == ["placed", "canceled", "canceled"]
    assert f"{orders[0][0]} cannot go on" in caplog.text


def test_a_provider_that_hangs_takes_half_of_the_threads_and_no_more(database, begin, sql, monkeypatch):
    release, hanging = threading.Event(), []

    class Hangs(Dummy):
        def create(self, payment):
            hanging.append(payment.id)
            release.wait(LONG)
            return Outcome("captured", f"hangs-{payment.id}")

    monkeypatch.setattr("resources.orders_providers.PATIENCE", 0.05)
    provider = Hangs("secret")
    providers = Providers(provider, at_once=2)
    payment = begin(provider)
    threads = [threading.Thread(target=orders_paying.advance, args=(database, providers, payment)) for _ in range(6)]
    for thread in threads:
        thread.start()

    assert eventually(lambda: sum(thread.is_alive() for thread in threads) == 2)

    assert len(hanging) == 2
    release.set()
    for thread in threads:
        thread.join()


def test_what_a_provider_needs_is_asked_for_all_at_once():
    class Needy(Dummy):
        fields: ClassVar = {"token": {"type": "string", "required": True}, "name": {"type": "string"}}

    with pytest.raises(ValidationError) as refused:
        wanted(Providers(Needy("secret")), "dummy", {"outcome": "pay"})

    assert refused.value.details["errors"] == [
        {"field": "outcome", "issue": "Is not a field of dummy."},
        {"field": "token", "issue": "Is required by dummy."},
    ]


def test_a_refund_that_takes_days_is_asked_for_again_and_given_once(paying, placed, keeper, database, sql):
    pay(paying, placed)
    paying.post_json(f"/api/orders/{placed[0]}/refunds", {"amount": 5}, headers=keeper)
    sql("UPDATE refunds SET status = 'new', retry_at = CURRENT_TIMESTAMP")
    slow = Slow(refund=[Refunded("pending"), Unavailable("down"), Refunded("done", "r-1")])

    for _ in range(4):
        orders_paying.reconcile(database, Providers(slow))
        due(sql)

    assert slow.asked == ["refund"] * 3
    assert sql("SELECT status, reference, amount FROM refunds") == [
        {"status": "succeeded", "reference": "r-1", "amount": Decimal(5)}
    ]
    assert look(paying, placed)["refunded"] == 5.0


def test_what_waits_for_a_provider_that_is_not_enabled_any_more_is_told_and_kept(paying, placed, database, sql, caplog):
    pay(paying, placed, outcome="later")
    paying.post(f"/api/orders/{placed[0]}/cancel", headers=placed[1])
    sql("UPDATE payments SET status = 'canceling', retry_at = CURRENT_TIMESTAMP")

    orders_paying.reconcile(database, Providers())
    assert "waits for dummy, which PAYMENT_PROVIDERS does not name any more" in caplog.text
    due(sql)
    orders_paying.reconcile(database, Providers(DUMMY))

    assert sql("SELECT status FROM payments") == [{"status": "canceled"}]
