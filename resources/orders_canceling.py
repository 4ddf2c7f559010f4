"""Canceling orders: by a customer, by an administrator, and by the shop when nobody pays in time."""

import json
from typing import Any

from core.app import app
from core.contract.idempotency import Once
from core.db.database import Database, Row, Session
from core.errors import NotFound, OrderState
from core.identity.audit import Record
from core.identity.auth import PUBLIC, Tokens
from core.metrics import Counter
from resources.orders_paying import (
    CAPTURING,
    add_refund,
    advance,
    advance_refund,
    do_once,
    each,
    is_payable,
    let_go,
    settle,
    tell,
)
from resources.orders_providers import CAPTURED, Providers
from resources.orders_rules import GUEST, ORDER, answer, audited, require, visible

EXPIRED = Counter("bodega_orders_expired_total", "Orders that were canceled as nobody had paid in time.")
BATCH = 50  # orders of one run of `expire`


@app.post(
    "/api/orders/<number:order>/cancel",
    auth=PUBLIC,
    headers=GUEST,
    returns=ORDER,
    raises=(NotFound, OrderState),
    compress=True,
    message="Order canceled.",
)
def cancel_order(
    number: str,
    user: Row | None,
    record: Record,
    *,
    order_token: str | None = None,
    database: Database,
    once: Once,
    tokens: Tokens,
    providers: Providers,
) -> Any:
    """Cancel an order that was not fulfilled yet.

    Its pieces are in stock again, once. What was paid is given back, all that was not given back already.
    """
    after: list[tuple[list[int], list[int]]] = []

    def cancel(db: Session) -> Row:
        order = visible(db, number, user, order_token, tokens=tokens, statement="orders/lock")
        require(order, "cancel")
        before = audited(order)
        by_admin = user is not None and user["role"] == "admin" and user["id"] != order["user_id"]
        payments = db.many("payments/list", id=order["id"])
        after.append(canceled(db, order, payments, "canceled", "admin" if by_admin else "customer"))
        if by_admin:
            record(db, user, [("order", order["id"], "canceled", before, audited(order))])
        return answer(db, order)

    result = do_once(database, once, cancel, after)
    for payments, refunds in after:
        finish(database, providers, payments, refunds)
    return result


def canceled(db: Session, order: Row, payments: list[Row], what: str, by: str) -> tuple[list[int], list[int]]:
    """Cancel a locked order, with all its payments; return the ids of those and of refunds to go on with afterwards."""
    db.run("orders/cancel", id=order["id"])
    order |= {"status": "canceled", "expires_at": None}
    restock(db, order, db.many("orders/restockable", id=order["id"]))
    going = let_go(db, payments)
    refunds, owed = [], order["paid"] - order["refunded"]
    db.run("orders/add_history", id=order["id"], what=what, by_whom=by, amount=None)
    if owed:
        [won] = [payment for payment in payments if payment["status"] == CAPTURED]
        refunds.append(add_refund(db, order, won, owed, "canceled"))
        db.run("orders/add_history", id=order["id"], what="refunded", by_whom=by, amount=owed)
    settle(db, order, payments, refunded=order["refunded"] + owed)
    tell(db, "order.canceled", order)
    if owed:
        tell(db, "order.refunded", order)
    return going, refunds


def restock(db: Session, order: Row, lines: list[Row]) -> None:
    """Put pieces of a locked order back into the stock. `lines`: product_id and quantity, by product_id."""
    if lines:
        document = json.dumps([{name: int(line[name]) for name in ("product_id", "quantity")} for line in lines])
        db.run("orders/note_restocked", id=order["id"], lines=document)
        db.run("orders/restock", lines=document)


def finish(database: Database, providers: Providers, payments: list[int], refunds: list[int]) -> None:
    """Make the calls to providers that are due after a change was stored."""
    for payment in payments:
        advance(database, providers, payment)
    for refund in refunds:
        advance_refund(database, providers, refund)


def expire(database: Database) -> bool:
    """Cancel the orders that nobody paid in time; return whether there are more. `reconcile` tells the providers."""
    over = database.transaction(lambda db: db.many("orders/expired", limit=BATCH))
    for row in over:
        each(lambda number: database.transaction(lambda db: expired(db, number)), row["number"])
    return len(over) == BATCH


def expired(db: Session, number: str) -> None:
    """Cancel an order if it is over, and no money for it is being taken at this moment."""
    order = db.one("orders/lock", number=number)
    payments = db.many("payments/list", id=order["id"])
    capturing = any(payment["status"] == CAPTURING for payment in payments)
    if is_payable(order) and order["is_over"] and not capturing:
        canceled(db, order, payments, "expired", "shop")
        db.count(EXPIRED)
