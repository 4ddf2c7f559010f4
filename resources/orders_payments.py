"""Paying an order: by whichever provider the shop has, and what providers report by themselves."""

import json
import logging
from datetime import timedelta
from typing import Any

from bottle import request

from core.app import app
from core.contract.idempotency import Once
from core.contract.shapes import Shape, field
from core.contract.validation import Body, Upload
from core.db.database import Database, Row, Session
from core.errors import NotFound, OrderState, PaymentDeclined, ServiceUnavailable, ValidationError
from core.identity.audit import Record
from core.identity.auth import ADMIN, PUBLIC, Tokens
from core.identity.limits import Limit
from core.json_text import dump
from resources.orders_dummy import Dummy
from resources.orders_manual import Manual
from resources.orders_paying import LATE, NEW, OPEN, SOONEST, advance, advance_refund, do_once, let_go, report, settle
from resources.orders_paying import record as record_outcome
from resources.orders_providers import (
    CAPTURED,
    DECLINED,
    Forged,
    Outcome,
    PaymentProvider,
    Providers,
)
from resources.orders_rules import GUEST, ORDER, PAYMENT, answer, audited, require, shown, visible

KNOWN: tuple[type[PaymentProvider], ...] = (Manual, Dummy)  # a provider of your own goes here: docs/payments.md
PAYING = Limit("payments", "60/hour; 200/day")  # for each address: stolen cards are tried out by the thousand
NEW_PAYMENT = Body(
    provider={
        "type": "string",
        "required": True,
        "maxlength": 20,
        "meta": {
            "issue": "Must be the name of a way to pay. GET /api/shop lists them.",
            "description": "The way to pay: one of payment_providers of `getShop`.",
            "example": "dummy",
        },
    },
    **{name: {**rules, "required": False} for provider in KNOWN for name, rules in provider.fields.items()},
)
NO_ANSWER = "The payment provider does not answer. Send the same request again: nothing is paid twice."
REPORT = Upload("application/json", 64 * 1024, '{"reference": "dummy-1", "status": "captured"}')
HEARD = Shape("Heard", known=field("boolean", "Whether it was about a payment.", True))

log = logging.getLogger("bodega.payments")


@app.post(
    "/api/orders/<number:order>/payments",
    auth=PUBLIC,
    limit=PAYING,
    headers=GUEST,
    body=NEW_PAYMENT,
    returns=PAYMENT,
    raises=(NotFound, OrderState, PaymentDeclined, ServiceUnavailable),
    status=201,
    compress=True,
    message="Payment begun.",
)
def create_payment(
    number: str,
    body: Row,
    user: Row | None,
    *,
    order_token: str | None = None,
    database: Database,
    once: Once,
    tokens: Tokens,
    providers: Providers,
) -> Any:
    """Pay an order.

    The answer says whether the money is there (captured), or what the customer has to do (next_action). A payment that
    is declined is a 402; another one may be begun then. While one is under way, the same request gets that one, and one
    with other fields takes its place. With an Idempotency-Key the same request gets its payment also when the order is
    paid by it.
    """
    fields = {name: value for name, value in body.items() if name != "provider"}
    provider, sent = wanted(providers, body["provider"], fields), dump(fields).decode()

    def begin(db: Session) -> tuple[Any, int | None]:
        if stored := once.answered(db):
            return stored, None
        order = visible(db, number, user, order_token, tokens=tokens, statement="orders/lock")
        return None, begun(db, order, provider, sent, with_key=once.has_key)

    stored, payment_id = database.transaction(begin)
    if payment_id is None:
        return stored
    advance(database, providers, payment_id)
    return database.transaction(lambda db: once(db, lambda db: payment_of(db, payment_id)))


@app.post(
    "/api/orders/<number:order>/payments/<id:id>/capture",
    auth=ADMIN,
    returns=ORDER,
    raises=(NotFound, OrderState),
    compress=True,
    message="Payment received.",
)
def capture_payment(
    number: str, id: int, user: Row, record: Record, *, database: Database, once: Once, providers: Providers
) -> Any:
    """Say that the money of a manual payment has come.

    Where the order cannot take it any more, it is noted as too late, and as given back.
    """

    late: list[int | None] = []

    def receive(db: Session) -> Row:
        order = db.one("orders/lock", number=number)
        payments = {row["id"]: row for row in db.many("payments/list", id=order["id"])} if order else {}
        payment = payments.get(id)
        if not order or not payment:
            raise NotFound("This order has no such payment.")
        provider = providers.get(payment["provider"])
        if not provider or not provider.by_hand or payment["status"] in (CAPTURED, LATE):
            raise OrderState("Only a manual payment can be received, and only once.", order)
        late.append(record_outcome(db, id, Outcome(CAPTURED), "admin"))
        after = db.one("orders/get", number=number)
        record(db, user, [("order", order["id"], "captured", audited(order), audited(after))])
        return answer(db, after)

    result = do_once(database, once, receive, late)
    for refund_id in filter(None, late):
        advance_refund(database, providers, refund_id)
    return result


@app.post(
    "/api/payments/<name:provider>/webhook",
    auth=PUBLIC,
    consumes=REPORT,
    returns=HEARD,
    raises=(NotFound, ValidationError),
    message="Heard.",
)
def receive_webhook(name: str, upload: bytes, *, database: Database, once: Once, providers: Providers) -> Any:
    """Take what a payment provider reports by itself.

    It must be signed as the provider does it. What was reported before, or comes too late, changes nothing. A payment
    that is not known yet is a 404: the provider sends the report again.
    """
    provider = providers.get(name)
    if provider is None:
        raise NotFound("The shop has no such payment provider.")
    sent = ((name, value) for name, value in request.environ.items() if name.startswith("HTTP_"))
    headers = {name.removeprefix("HTTP_").replace("_", "-").lower(): value for name, value in sent}
    try:
        event = provider.event(headers, upload)
    except Forged as error:
        log.warning("a webhook for %s was refused: %s", name, error)
        raise ValidationError(("webhook-signature", "Is not the one of the payment provider, or too old.")) from error
    if event is None:
        return {"known": False}
    found = database.transaction(lambda db: db.one("payments/find", provider=name, reference=event.reference))
    if found is None:
        raise NotFound("This payment is not known yet. Report it again.")
    report(database, providers, found["id"], event.outcome, "provider")
    advance(database, providers, found["id"])
    return database.transaction(lambda db: once(db, lambda db: {"known": True}))


def wanted(providers: Providers, name: str, fields: Row) -> PaymentProvider:
    """Return the provider of this name; raise ValidationError for one that is not there, or that lacks its fields."""
    provider = providers.get(name)
    if provider is None:
        raise ValidationError(("provider", f"Must be one of {', '.join(providers.names)}."))
    problems = [(field, f"Is not a field of {name}.") for field in fields if field not in provider.fields]
    needed = [field for field, rules in provider.fields.items() if rules.get("required")]
    if problems := problems + [(field, f"Is required by {name}.") for field in needed if field not in fields]:
        raise ValidationError(*problems)
    return provider


def same(payments: list[Row], fields: str, statuses: tuple[str, ...]) -> int | None:
    """Return the id of the payment with the same fields, in one of these statuses."""
    for row in payments:
        if row["status"] in statuses and json.loads(row["fields"] or "{}") == json.loads(fields):
            return row["id"]
    return None


def begun(db: Session, order: Row, provider: PaymentProvider, fields: str, *, with_key: bool = False) -> int:
    """Add a payment of a locked order, in place of others of this provider that are under way; return its id.

    One that is under way with the same fields is taken up again: after a double click, or where no answer came. For a
    request `with_key` also one that has paid the order: the answer was not stored yet, or never was.
    """
    own = [row for row in db.many("payments/list", id=order["id"]) if row["provider"] == provider.name]
    if with_key and (won := same(own, fields, (CAPTURED,))) is not None:
        return won
    require(order, "pay")
    if (id := same(own, fields, OPEN)) is not None:
        return id
    let_go(db, own)
    values = {"order_id": order["id"], "amount": order["total"], "currency": order["currency"], "fields": fields}
    id = db.add("payments/add", provider=provider.name, delay=SOONEST, **values)
    expires_at = order["expires_at"]
    if provider.hold is not None:
        expires_at = max(expires_at, order["placed_at"] + timedelta(seconds=provider.hold))
    settle(db, order, [{"status": NEW}], expires_at=expires_at)
    return id


def payment_of(db: Session, id: int) -> Row:
    """Return a payment as it is answered; raise where there will be no money, and where its provider gave no answer."""
    payment = db.one("payments/get", id=id)
    if payment["status"] == NEW:
        raise ServiceUnavailable(NO_ANSWER, retry_after=5)
    if payment["status"] == DECLINED:
        raise PaymentDeclined()
    return shown(payment)
