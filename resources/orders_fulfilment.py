"""Fulfilling orders: what an administrator says when the goods have left."""

from core import outbox
from core.app import app
from core.contract.fields import line
from core.contract.shapes import described
from core.contract.validation import OptionalBody
from core.db.database import Row, Session
from core.errors import NotFound, OrderState
from core.identity.audit import Record
from core.identity.auth import ADMIN
from resources.orders_rules import ORDER, answer, audited, event_data, locked, require

FULFILMENT = OptionalBody(
    tracking=described(
        line(200, "1Z 999 AA1 01 2345 6784"), "What the carrier calls the parcel: the customer sees it.", nullable=True
    )
)


@app.post(
    "/api/orders/<number:order>/fulfil",
    auth=ADMIN,
    body=FULFILMENT,
    returns=ORDER,
    raises=(NotFound, OrderState),
    compress=True,
    message="Order fulfilled.",
)
def fulfil_order(db: Session, number: str, body: Row, user: Row, record: Record) -> Row:
    """Say that an order was sent or handed over.

    It must be paid, and not canceled. Of two at once one is too late: 409 ORDER_STATE.
    """
    order = locked(db, number)
    require(order, "fulfil")
    fulfilled = order | {"status": "fulfilled", "tracking": body.get("tracking"), "expires_at": None}
    db.together(
        "orders/fulfil",
        "orders/add_history",
        "outbox/add",
        id=order["id"],
        tracking=fulfilled["tracking"],
        what="fulfilled",
        by_whom="admin",
        amount=None,
        messages=outbox.document(outbox.event("order.fulfilled", event_data(fulfilled))),
    )
    record(db, user, [("order", order["id"], "fulfilled", audited(order), audited(fulfilled))])
    return answer(db, fulfilled)
