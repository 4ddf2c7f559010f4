"""Orders as they are answered, who may see one, and what may happen to one in which state."""

import hmac
import json
import re
import secrets
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from core.app import add_filter, app
from core.contract.fields import line
from core.contract.shapes import Shape, described, field
from core.contract.validation import Body, Headers
from core.db.database import Row, Session
from core.errors import NotFound, OrderState
from core.identity.auth import Tokens

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: what is misread is read right
ALIKE = str.maketrans("OIL", "011")
NUMBER = re.compile(rf"([{ALPHABET}]{{5}})-?([{ALPHABET}]{{5}})\Z")
TOKEN_BYTES = 16  # 128 bits
UNKNOWN = (
    "There is no such order, or what you sent does not open it. Log in, or send the Order-Token that came with it."
)
ABSENT = "0" * 64  # in place of the hash of a token that an order does not have

STATUSES = ["placed", "fulfilled", "canceled"]
PAYMENT_STATUSES = ["unpaid", "pending", "paid", "partly_refunded", "refunded"]
PAYABLE = ("unpaid", "pending")
# What may happen → in which status, in which payment_status, and what is told where it may not.
TRANSITIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "pay": (("placed",), PAYABLE, "Only an order that is neither paid nor canceled can be paid."),
    "expire": (("placed",), PAYABLE, "Only an order that is not paid expires."),
    "cancel": (
        ("placed",),
        tuple(PAYMENT_STATUSES),
        "Only an order that is neither fulfilled nor canceled can be canceled.",
    ),
    "fulfil": (
        ("placed",),
        ("paid", "partly_refunded"),
        "Only an order that is paid, and not canceled, can be fulfilled.",
    ),
    "refund": (
        tuple(STATUSES),
        ("paid", "partly_refunded"),
        "Only what was paid, and was not given back yet, can be refunded.",
    ),
}
EVENTS = [
    "placed",
    "paid",
    "payment_declined",
    "payment_late",
    "fulfilled",
    "canceled",
    "expired",
    "refunded",
    "refund_failed",
]
BY = ["customer", "admin", "provider", "shop"]

PATH = {
    "type": "string",
    "pattern": "^[0-9A-Za-z]{5}-?[0-9A-Za-z]{5}$",
    "description": "The number of the order, in any case; O is read as 0, and I and L as 1.",
    "examples": ["K7Q2M-4XH9P"],
}
ORDER_TOKEN: dict[str, Any] = {
    "type": "string",
    "maxlength": 200,
    "meta": {
        "issue": "The access_token of the order, as the answer to placing it had it.",
        "description": "What opens the order of a guest: the access_token that `placeOrder` gave once.",
        "example": "kQ3vJ0o1b9mYxq2mZr7T8w",
        "scheme": "order",
    },
}
GUEST = Headers(**{"Order-Token": ORDER_TOKEN})


ADDRESS = Body(
    name=described(line(100, "Ada Lovelace"), "Whom it is for.", required=True),
    company=described(line(100, "Analytical Engines"), "The company, if it is for one."),
    line1=described(line(200, "12 St James's Square"), "Street and number.", required=True),
    line2=described(line(200, "Second floor"), "What else the carrier needs to know."),
    city=described(line(100, "London"), "The town.", required=True),
    region=described(line(100, "Greater London"), "State, province or county, where it is part of an address."),
    postal_code=described(line(20, "SW1Y 4JH"), "The postal code, where there is one."),
    country={
        "type": "string",
        "required": True,
        "maxlength": 2,
        "regex": r"[A-Z]{2}\Z",
        "meta": {
            "issue": "Must be the two capital letters of a country (ISO 3166-1), such as GB.",
            "description": "The country: two capital letters (ISO 3166-1 alpha-2).",
            "example": "GB",
        },
    },
    phone=described(line(40, "+44 20 7946 0018"), "A telephone number for the carrier."),
)
ADDRESS_SHAPE = Shape(
    "Address",
    **{
        name: field(
            "string", rules["meta"]["description"], rules["meta"]["example"], required=bool(rules.get("required"))
        )
        for name, rules in ADDRESS.fields.items()
    },
)
ITEM = Shape(
    "OrderItem",
    product_id=field("integer", "The product; it may have changed since.", 2),
    name=field("string", "What it was called.", "Desk Lamp"),
    unit_price=field("number", "What one piece cost.", 19.9),
    quantity=field("integer", "How many pieces.", 3),
    line_total=field("number", "The unit_price times the quantity.", 59.7),
)
EVENT = Shape(
    "OrderEvent",
    at=field("datetime", "When it was.", "2026-01-31T12:00:00Z"),
    what=field("string", "What happened.", "placed", allowed=EVENTS),
    by=field("string", "On whose side.", "customer", allowed=BY),
    amount=field("number", "Of money that moved: how much. Otherwise null.", 59.7, nullable=True),
)
PENDING_STATUSES = ("new", "pending", "authorized", "capturing")  # as stored; a client sees `pending`
NEXT_ACTION = Shape(
    "NextAction",
    type=field("string", "What kind of step it is: transfer, redirect, confirm, wait.", "transfer"),
    url=field("string", "With redirect: where the customer goes.", "https://pay.example/p/1", required=False),
    client_secret=field("string", "With confirm: what the provider's own script wants.", "cs_1", required=False),
    purpose=field("string", "With transfer: what to write on it.", "K7Q2M-4XH9P", required=False),
    amount=field("number", "With transfer: how much.", 59.7, required=False),
    currency=field("string", "With transfer: in which currency.", "EUR", required=False),
)
PAYMENT = Shape(
    "Payment",
    id=field("integer", "The number of the payment.", 1),
    provider=field("string", "The way to pay.", "manual"),
    status=field(
        "string",
        "Where it stands. With late, the money came when the order could not take it any more, and goes back.",
        "pending",
        allowed=["pending", "captured", "declined", "canceled", "late"],
    ),
    amount=field("number", "How much.", 59.7),
    currency=field("string", "In which currency (ISO 4217).", "EUR"),
    reference=field("string", "What the provider calls it; null until it has answered.", "manual-1", nullable=True),
    next_action=field("dict", "What the customer has to do, or null.", shape=NEXT_ACTION, nullable=True),
)
SUMMARY_FIELDS: dict[str, dict[str, Any]] = {
    "number": field("string", "The number of the order, for people and addresses.", "K7Q2M-4XH9P"),
    "status": field("string", "Where the goods are.", "placed", allowed=STATUSES),
    "payment_status": field(
        "string",
        "Where the money is. With pending, a payment is under way.",
        "unpaid",
        allowed=PAYMENT_STATUSES,
    ),
    "currency": field("string", "The currency of all amounts (ISO 4217).", "EUR"),
    "total": field("number", "What the order costs.", 59.7),
    "item_count": field("integer", "How many pieces were ordered.", 3),
    "email": field(
        "string",
        "Where the confirmation went. Null: the customer's account was deleted.",
        "ada@example.com",
        nullable=True,
    ),
    "placed_at": field("datetime", "When it was placed.", "2026-01-31T12:00:00Z"),
    "expires_at": field(
        "datetime",
        "When it is canceled if it is not paid until then. Null: that is over.",
        "2026-01-31T12:30:00Z",
        nullable=True,
    ),
}
ORDER_FIELDS: dict[str, dict[str, Any]] = {
    **SUMMARY_FIELDS,
    "paid": field("number", "What was paid.", 0),
    "refunded": field("number", "What was given back of it, or is about to be.", 0),
    "items": field("list", "The lines, as they were bought.", items=ITEM),
    "shipping_address": field("dict", "Where it goes, or null.", shape=ADDRESS_SHAPE, nullable=True),
    "note": field("string", "What the customer wrote, or null.", "Please ring twice.", nullable=True),
    "tracking": field(
        "string", "What the carrier calls the parcel, or null.", "1Z 999 AA1 01 2345 6784", nullable=True
    ),
    "payments": field("list", "The attempts to pay it, the oldest first.", items=PAYMENT),
    "history": field("list", "What happened to it, the oldest first.", items=EVENT),
}
ORDER = Shape("Order", **ORDER_FIELDS)
PLACED_ORDER = Shape(
    "PlacedOrder",
    **ORDER_FIELDS,
    access_token=field(
        "string",
        "Of an order without an account: what opens it, sent as the header Order-Token. It is shown this once.",
        "kQ3vJ0o1b9mYxq2mZr7T8w",
        required=False,
    ),
)


def number_in(text: str) -> str | None:
    """Return the number that was typed, in any case and with or without its hyphen; None if it is none."""
    found = NUMBER.match(text.upper().translate(ALIKE)) if len(text) <= 11 else None
    return f"{found[1]}-{found[2]}" if found else None


def _number(text: str) -> str:
    number = number_in(text)
    if not number:
        raise NotFound(UNKNOWN)
    return number


PROVIDER = {
    "type": "string",
    "pattern": "^[a-z0-9_]{1,20}$",
    "description": "The name of the payment provider.",
    "examples": ["dummy"],
}
add_filter(app, "order", r"[^/]+", _number, PATH)
add_filter(app, "provider", r"[a-z0-9_]{1,20}", str, PROVIDER)


def new_number() -> str:
    """Return a number for an order: 50 random bits, in the form ABCDE-12345."""
    text = "".join(secrets.choice(ALPHABET) for _ in range(10))
    return f"{text[:5]}-{text[5:]}"


def visible(
    db: Session,
    number: str,
    user: Row | None,
    order_token: str | None,
    *,
    tokens: Tokens,
    statement: str = "orders/get",
) -> Row:
    """Return an order (a row of orders/get) to whom it belongs, or to an administrator; raise NotFound.

    An unknown number, a wrong token and another's order are the same error, after the same work. `statement`: one that
    reads the same, and locks.
    """
    order = db.one(statement, number=number)
    stored = (order["token_hash"] if order else None) or ABSENT
    opened = hmac.compare_digest(stored, tokens.hash(order_token or "")) and order_token is not None
    if order and (opened or (user and (user["role"] == "admin" or user["id"] == order["user_id"]))):
        return order
    raise NotFound(UNKNOWN)


def locked(db: Session, number: str) -> Row:
    """Lock an order for an administrator, and return it (a row of orders/lock); raise NotFound."""
    order = db.one("orders/lock", number=number)
    if order is None:
        raise NotFound(UNKNOWN)
    return order


def require(order: Row, action: str) -> None:
    """Raise OrderState unless this may happen to the order now; `action`: one of TRANSITIONS."""
    statuses, payment_statuses, sentence = TRANSITIONS[action]
    if order["status"] not in statuses or order["payment_status"] not in payment_statuses:
        raise OrderState(sentence, order)


def answer(db: Session, order: Row) -> Row:
    """Return an order as it is answered. `order`: a row of orders/get."""
    items, history, payments = db.together("orders/items", "orders/history", "payments/list", id=order["id"])
    return order_of(order, items, history, payments)


def order_of(order: Row, items: list[Row], history: Sequence[Row] = (), payments: Sequence[Row] = ()) -> Row:
    """Return an order as it is answered, of its rows (orders/get, orders/items, orders/history, payments/list)."""
    address = order["shipping_address"]
    placed = {"at": order["placed_at"], "what": "placed", "by": "customer", "amount": None}
    since = [{"at": h["at"], "what": h["what"], "by": h["by_whom"], "amount": h["amount"]} for h in history]
    return {
        **{name: order[name] for name in ORDER_FIELDS if name in order},
        "items": items,
        "shipping_address": address and json.loads(address),
        "payments": [shown(payment) for payment in payments],
        "history": [placed, *since],
    }


def shown(payment: Row) -> Row:
    """Return a payment as it is answered. `payment`: of payments/list."""
    status, action = payment["status"], payment["next_action"]
    told = "pending" if status in PENDING_STATUSES else "canceled" if status == "canceling" else status
    return {
        **{name: payment[name] for name in ("id", "provider", "amount", "currency", "reference")},
        "status": told,
        "next_action": action and json.loads(action, parse_float=Decimal),
    }


def event_data(order: Row) -> Row:
    """Return what webhooks are told of an order: nothing of the person."""
    told = ("number", "status", "payment_status", "currency", "total", "paid", "refunded", "placed_at")
    return {name: order[name] for name in told}


def audited(order: Row) -> Row:
    """Return what the audit trail stores of an order: nothing of the person."""
    return {name: order[name] for name in ("number", "status", "payment_status", "paid", "refunded")}
