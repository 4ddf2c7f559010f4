"""How an order is paid, and money given back: what is written down before and after each call to a provider.

A payment moves forward only:

    new → pending → authorized → capturing → captured      the order is paid, by this one payment
                  → declined                                there will be no money
    pending, authorized → canceling → canceled              the order is paid otherwise, or canceled
    anything → late                                         money that the order cannot take: all of it goes back

Each call stands between two transactions, and none is open meanwhile. The first one decides, under the order's lock,
and notes when the call is due again; the second one records the answer. Whatever breaks between them, the next request,
the provider's webhook or `reconcile` goes on from there. A canceled order stays canceled: what comes too late goes
back.
"""

import functools
import itertools
import json
import logging
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from core import outbox, recurring
from core.contract.idempotency import Once
from core.db.database import Database, Row, Session
from core.errors import ServiceUnavailable
from core.json_text import dump
from core.metrics import Counter
from resources.orders_providers import (
    AUTHORIZED,
    CANCELED,
    CAPTURED,
    DECLINED,
    PENDING,
    Outcome,
    Payment,
    Providers,
    Refund,
    Refunded,
    Unavailable,
)
from resources.orders_rules import PAYABLE, event_data

NEW, CAPTURING, CANCELING, LATE = "new", "capturing", "canceling", "late"
OPEN = (NEW, PENDING, AUTHORIZED, CAPTURING)  # money may still come of it
CALLS = {NEW: "create", CAPTURING: "capture", CANCELING: "cancel"}  # status → which call is due
AFTER: dict[str, tuple[str, ...]] = {  # what a provider reports → from which status it moves a payment
    PENDING: (NEW, PENDING),
    AUTHORIZED: (NEW, PENDING),
    CAPTURED: (NEW, PENDING, AUTHORIZED, CAPTURING, CANCELING, CANCELED, DECLINED),  # money is money, whenever it comes
    DECLINED: (NEW, PENDING, AUTHORIZED, CAPTURING, CANCELING),
    CANCELED: (NEW, PENDING, AUTHORIZED, CAPTURING, CANCELING),
}
BATCH = 50  # of `reconcile`, before others have their turn
SPELL = 3  # seconds of `reconcile`, likewise: a provider that does not answer holds nothing else up
AT_ONCE = 5  # seconds after which `reconcile` makes a call that whoever decided it has not made
SOONEST, LATEST = 30, 3600  # seconds until a call is made again that was begun

PAID = Counter("bodega_orders_paid_total", "Orders that were paid.", "provider")

log = logging.getLogger("bodega.payments")


def advance(database: Database, providers: Providers, payment_id: int, only_due: bool = False) -> None:
    """Make the calls to the provider that are due, until the payment waits for somebody else.

    `only_due`: not those that another process has begun just now. Raises nothing of the provider's.
    """
    before = None
    while due := database.transaction(functools.partial(_due, payment_id=payment_id, only_due=only_due and not before)):
        call, payment, name = due
        provider = providers.get(name)
        if provider is None:
            log.error("payment %d waits for %s, which PAYMENT_PROVIDERS does not name any more", payment_id, name)
        outcome = _asked(providers, getattr(provider, call), payment) if provider and call != before else None
        if outcome is None:  # no answer, or one that leaves things as they were: again at retry_at
            return
        report(database, providers, payment_id, outcome, "provider")
        before = call


def report(database: Database, providers: Providers, payment_id: int, outcome: Outcome, by: str) -> None:
    """Record what a provider, or an administrator, says of a payment, and give back what came too late.

    What does not fit any more changes nothing.
    """
    refund_id = database.transaction(lambda db: record(db, payment_id, outcome, by))
    if refund_id:
        log.warning("payment %d came too late; refund %d gives it back", payment_id, refund_id)
        advance_refund(database, providers, refund_id)


def record(db: Session, payment_id: int, outcome: Outcome, by: str) -> int | None:
    """Do what `report` does, in a transaction; return the id of the refund of money that came too late."""
    order, payments = locked(db, payment_id)
    payment = next(row for row in payments if row["id"] == payment_id)
    if payment["status"] not in AFTER[outcome.status]:
        return None
    payment["reference"] = payment["reference"] or outcome.reference
    if outcome.status == CAPTURED:
        return _take(db, order, payments, payment, by)
    status: str = outcome.status
    if status in (PENDING, AUTHORIZED):
        status = _next(order, payments, payment, status)
    action = dump(outcome.next_action).decode() if outcome.next_action else payment["next_action"]
    note(db, payment, status, next_action=action if status == PENDING else None)
    if status == DECLINED:
        db.run("orders/add_history", id=order["id"], what="payment_declined", by_whom=by, amount=payment["amount"])
    settle(db, order, payments)
    return None


def locked(db: Session, payment_id: int) -> tuple[Row, list[Row]]:
    """Lock the order of a payment; return it (a row of orders/lock), and all its payments."""
    order = db.one("orders/lock", number=db.one("payments/get", id=payment_id)["number"])
    return order, db.many("payments/list", id=order["id"])


def do_once(database: Database, once: Once, work: Callable[[Session], Any], left: list[Any]) -> Any:
    """Do `work(db)` once, in a transaction; return its answer.

    `left`: where it puts what is to be done after that. Nothing is, where another request with this key has done it
    while this one was being repeated.
    """

    def attempt(db: Session) -> Any:
        left.clear()
        return once(db, work)

    return database.transaction(attempt)


def is_payable(order: Row) -> bool:
    """Whether the order waits for money."""
    return order["status"] == "placed" and order["payment_status"] in PAYABLE


def note(db: Session, payment: Row, status: str, *, next_action: str | None = None) -> None:
    """Write down the status of a payment, and when `reconcile` goes on with it if nobody else does."""
    again = payment["attempts"] if payment["status"] == status else 0
    payment |= {"status": status, "attempts": again, "next_action": next_action}
    delay = AT_ONCE if status in CALLS else SOONEST if status == AUTHORIZED else None
    values = {"reference": payment["reference"], "next_action": next_action, "attempts": again, "delay": delay}
    db.run("payments/update", id=payment["id"], status=status, **values)


def settle(db: Session, order: Row, payments: list[Row], **changed: Any) -> None:
    """Write down what the order's payments come to. `changed`: paid, refunded or expires_at, where they change."""
    order |= changed
    if order["paid"]:
        refunded = order["refunded"]
        status = "paid" if not refunded else "refunded" if refunded == order["paid"] else "partly_refunded"
    else:
        status = "pending" if any(row["status"] in OPEN for row in payments) else "unpaid"
    order["payment_status"] = status
    values = {name: order[name] for name in ("payment_status", "paid", "refunded", "expires_at")}
    db.run("orders/update_payment", id=order["id"], **values)


def let_go(db: Session, payments: list[Row]) -> list[int]:
    """Decide that no money is wanted of open payments any more; return the ids of those whose providers are to be told.

    One that is being captured is left: if its money comes, it goes back.
    """
    going = [row for row in payments if row["status"] in (PENDING, AUTHORIZED)]
    for payment in going:
        note(db, payment, CANCELING)
    return [row["id"] for row in going]


def add_refund(db: Session, order: Row, payment: Row, amount: Decimal, reason: str) -> int:
    """Decide that money of a payment goes back; return the id of the refund."""
    values = {"order_id": order["id"], "payment_id": payment["id"], "currency": payment["currency"]}
    return db.add("refunds/add", **values, amount=amount, reason=reason, delay=AT_ONCE)


def tell(db: Session, topic: str, order: Row) -> None:
    """Tell webhooks what happened to an order."""
    db.run("outbox/add", messages=outbox.document(outbox.event(topic, event_data(order))))


def advance_refund(database: Database, providers: Providers, refund_id: int, only_due: bool = False) -> None:
    """Ask the provider for a refund, and record what it says. `only_due` as in `advance`."""
    row = database.transaction(lambda db: _due_refund(db, refund_id, only_due))
    if not row:
        return
    provider = providers.get(row["provider"])
    if provider is None:
        log.error("refund %d waits for %s, which PAYMENT_PROVIDERS does not name any more", refund_id, row["provider"])
        return
    payment = payment_of(row | {"id": row["payment_id"], "amount": row["payment_amount"]})
    refund = Refund(refund_id, row["amount"], row["currency"])
    outcome = _asked(providers, provider.refund, payment, refund)
    if outcome and outcome.status != PENDING:
        database.transaction(lambda db: _record_refund(db, refund_id, outcome))


def reconcile(database: Database, providers: Providers) -> bool:
    """Go on with what is due: calls whose process has died, or that got no answer. Return whether there is more."""
    until = time.monotonic() + SPELL
    payments = database.transaction(lambda db: db.many("payments/due", limit=BATCH))
    refunds = database.transaction(lambda db: db.many("refunds/due", limit=BATCH))
    for payment, refund in itertools.zip_longest(payments, refunds):
        if payment:
            each(lambda id: advance(database, providers, id, only_due=True), payment["id"])
        if refund:
            each(lambda id: advance_refund(database, providers, id, only_due=True), refund["id"])
        if time.monotonic() > until:
            return True
    return BATCH in (len(payments), len(refunds))


def each(step: Callable[[Any], None], which: Any) -> None:
    """Do a step of a chore; log what fails. One that always fails must not hold up the others."""
    try:
        step(which)
    except ServiceUnavailable:  # of the database, and so of all
        raise
    except Exception as error:
        recurring.failing(log, logging.ERROR, "%s cannot go on", which, error=error)


def payment_of(row: Row) -> Payment:
    """Return what a provider is told of a payment. `row`: of payments/get."""
    fields = json.loads(row["fields"] or "{}")
    return Payment(row["id"], row["number"], row["amount"], row["currency"], fields, row["reference"])


def _due(db: Session, payment_id: int, only_due: bool) -> tuple[str, Payment, str] | None:
    """Decide which call is due; note when it is made again. Return the call, what it is told, and the provider."""
    order, payments = locked(db, payment_id)
    payment = next(row for row in payments if row["id"] == payment_id)
    if only_due and not payment["is_due"]:
        return None
    if payment["status"] in (PENDING, AUTHORIZED):
        status = _next(order, payments, payment, payment["status"])
        if status != PENDING:
            note(db, payment, status)
    call = CALLS.get(payment["status"])
    if call is None:
        return None
    attempts = payment["attempts"] + 1
    values = {"reference": payment["reference"], "next_action": payment["next_action"], "attempts": attempts}
    db.run("payments/update", id=payment_id, status=payment["status"], delay=_delay(attempts), **values)
    return call, payment_of(payment | {"number": order["number"]}), payment["provider"]


def _next(order: Row, payments: list[Row], payment: Row, status: str) -> str:
    """Return where a payment goes that its provider says is pending or authorized."""
    others = [row for row in payments if row["id"] != payment["id"]]
    if not is_payable(order):
        return CANCELING
    if status == AUTHORIZED:
        return AUTHORIZED if any(row["status"] == CAPTURING for row in others) else CAPTURING
    return status


def _take(db: Session, order: Row, payments: list[Row], payment: Row, by: str) -> int | None:
    """Take money: for the order, or to give it back."""
    others = [row for row in payments if row["id"] != payment["id"]]
    amount = payment["amount"]
    if not is_payable(order) or any(row["status"] == CAPTURING for row in others):
        note(db, payment, LATE)
        settle(db, order, payments)
        db.run("orders/add_history", id=order["id"], what="payment_late", by_whom=by, amount=amount)
        return add_refund(db, order, payment, amount, "late")
    note(db, payment, CAPTURED)
    let_go(db, others)
    settle(db, order, payments, paid=amount, expires_at=None)
    db.run("orders/add_history", id=order["id"], what="paid", by_whom=by, amount=amount)
    tell(db, "order.paid", order)
    db.count(PAID, payment["provider"])
    return None


def _due_refund(db: Session, refund_id: int, only_due: bool) -> Row | None:
    db.one("orders/lock", number=db.one("refunds/get", id=refund_id)["number"])
    row = db.one("refunds/get", id=refund_id)
    if row["status"] != NEW or (only_due and not row["is_due"]):
        return None
    attempts = row["attempts"] + 1
    values = {"status": NEW, "reference": None, "attempts": attempts, "delay": _delay(attempts)}
    db.run("refunds/update", id=refund_id, **values)
    return row


def _record_refund(db: Session, refund_id: int, outcome: Refunded) -> None:
    order = db.one("orders/lock", number=db.one("refunds/get", id=refund_id)["number"])
    row = db.one("refunds/get", id=refund_id)
    if row["status"] != NEW:
        return
    status = "succeeded" if outcome.status == "done" else "failed"
    values = {"reference": outcome.reference, "attempts": row["attempts"], "delay": None}
    db.run("refunds/update", id=refund_id, status=status, **values)
    if status == "failed":
        log.error("refund %d of order %s was refused by %s", refund_id, order["number"], row["provider"])
        db.run("orders/add_history", id=order["id"], what="refund_failed", by_whom="provider", amount=row["amount"])
        if row["reason"] != LATE:
            settle(db, order, [], refunded=order["refunded"] - row["amount"])


def _asked(providers: Providers, call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a provider answers; None if it gave no answer."""
    try:
        with providers.turn():
            return call(*arguments)
    except Unavailable as error:
        said, name = "%s gave no answer: %s", call.__qualname__
        recurring.failing(log, logging.WARNING, said, name, error, key=(said, name))
    except Exception as error:  # a bug in a provider is no reason to lose a payment
        recurring.failing(log, logging.ERROR, "%s failed", call.__qualname__, error=error)
    return None


def _delay(attempts: int) -> int:
    """Return the seconds until a call is made again that had no answer so often."""
    return min(SOONEST * 2 ** min(attempts - 1, 10), LATEST)
