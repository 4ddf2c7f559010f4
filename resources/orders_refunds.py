"""Giving money back, all of it or in part, and pieces into the stock. For administrators."""

from decimal import Decimal
from typing import Any

from core.app import app
from core.contract import fields
from core.contract.idempotency import Once
from core.contract.shapes import described
from core.contract.validation import Body
from core.db.database import Database, Row, Session
from core.errors import NotFound, OrderState, ValidationError
from core.identity.audit import Record
from core.identity.auth import ADMIN
from resources.orders_canceling import finish, restock
from resources.orders_paying import add_refund, do_once, settle, tell
from resources.orders_providers import CAPTURED, Providers
from resources.orders_rules import ORDER, answer, audited, locked, require

RESTOCKED = Body(
    product_id=described(fields.ID, "The product.", required=True),
    quantity=described({**fields.COUNT, "min": 1}, "How many pieces come back into the stock.", required=True),
)
NEW_REFUND = Body(
    amount=described({**fields.AMOUNT, "max": 10**13}, "How much goes back to the customer.", required=True),
    restock={
        "type": "list",
        "minlength": 0,
        "maxlength": 100,
        "each": RESTOCKED,
        "meta": {
            "issue": "Must be a list of at most 100 lines.",
            "description": "Which pieces come back into the stock. Without it, none.",
        },
    },
)


@app.post(
    "/api/orders/<number:order>/refunds",
    auth=ADMIN,
    body=NEW_REFUND,
    returns=ORDER,
    raises=(NotFound, OrderState),
    status=201,
    compress=True,
    message="Refund noted.",
)
def refund_order(
    number: str, body: Row, user: Row, record: Record, *, database: Database, once: Once, providers: Providers
) -> Any:
    """Give back money that was paid for an order, never more than that, and put pieces back into the stock.

    The provider is asked at once, and again later where it does not answer. If it refuses, the history says
    refund_failed, and the amount counts as paid again.
    """
    made: list[int] = []

    def refund(db: Session) -> Row:
        order = locked(db, number)
        require(order, "refund")
        lines = sorted(body.get("restock", []), key=lambda line: line["product_id"])
        require_possible(order, body["amount"], lines, db.many("orders/restockable", id=order["id"]))
        before, amount = audited(order), Decimal(body["amount"])
        [won] = [row for row in db.many("payments/list", id=order["id"]) if row["status"] == CAPTURED]
        made.append(add_refund(db, order, won, amount, "requested"))
        settle(db, order, [], refunded=order["refunded"] + amount)
        db.run("orders/add_history", id=order["id"], what="refunded", by_whom="admin", amount=amount)
        restock(db, order, lines)
        tell(db, "order.refunded", order)
        record(db, user, [("order", order["id"], "refunded", before, audited(order))])
        return answer(db, order)

    result = do_once(database, once, refund, made)
    finish(database, providers, [], made)
    return result


def require_possible(order: Row, amount: Any, lines: list[Row], restockable: list[Row]) -> None:
    """Raise ValidationError for more money than was paid, and for more pieces than can come back; all at once."""
    problems, left = [], order["paid"] - order["refunded"]
    if amount > left:
        problems.append(("amount", f"Must be at most {left}: that much was paid and not given back yet."))
    pieces = {row["product_id"]: row["quantity"] for row in restockable}
    if len({line["product_id"] for line in lines}) < len(lines):
        problems.append(("restock", "Must name each product once."))
    for line in lines:
        most = pieces.get(line["product_id"], 0)
        if line["quantity"] > most:
            problems.append(("restock", f"At most {most} pieces of product {line['product_id']} can come back."))
    if problems:
        raise ValidationError(*problems)
