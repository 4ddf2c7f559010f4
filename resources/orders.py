"""Orders: what a cart becomes when it is bought, and what happens to it then."""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from secrets import token_urlsafe
from typing import Any

from bottle import request, response

from core import outbox
from core.app import app
from core.contract import fields
from core.contract.email_address import EMAIL_ISSUE, LONGEST_EMAIL, address_of
from core.contract.forms import Problem
from core.contract.validation import Body, Headers
from core.db.database import Row, Session
from core.errors import AuthenticationRequired, CartChanged, CartEmpty, Conflict, Forbidden, ValidationError
from core.identity.auth import INVALID_TOKEN, PUBLIC, Tokens
from core.identity.limits import Limit
from core.mails import declare
from core.metrics import Counter
from core.shop import Shop
from resources.orders_rules import (
    ADDRESS,
    GUEST,
    ORDER,
    PLACED_ORDER,
    TOKEN_BYTES,
    answer,
    event_data,
    new_number,
    order_of,
    visible,
)

PLACED = Counter("bodega_orders_placed_total", "Orders that were placed.")
ORDERING = Limit("orders", "60/hour; 300/day")  # for each address: an order holds stock until it expires
CART = Headers(
    **{
        "Session-ID": fields.session_id(
            "Must be 1 to 255 characters of A-Z, a-z, 0-9, '.', '_', '~' and '-'. POST /api/cart gives you one.",
            "The session id of the cart that is ordered. With a token it may be left out: then it is the account's own "
            "cart.",
        )
    }
)
NEW_ORDER = Body(
    expected_total={
        "type": "amount",
        "required": True,
        "min": 0.01,
        "max": 10**20,
        "places": 2,
        "meta": {
            "description": "The total of the cart that the customer agrees to. At another one nothing is ordered.",
            "example": 59.7,
        },
    },
    email={
        "type": "string",
        "maxlength": LONGEST_EMAIL,
        "meta": {
            "issue": EMAIL_ISSUE,
            "description": "Where the confirmation goes. A guest has to say it; otherwise it is the account's address.",
            "example": "ada@example.com",
        },
    },
    shipping_address={
        "type": "dict",
        "fields": ADDRESS,
        "meta": {"issue": "Must be an address: an object.", "description": "Where it goes."},
    },
    note={
        "type": "string",
        "maxlength": 1000,
        "regex": r"[^\x00]*\Z",
        "meta": {
            "issue": "Must be text of at most 1000 characters.",
            "description": "What the customer wants to tell the shop.",
            "example": "Please ring twice.",
        },
    },
)
CONFIRMATION = declare("order_placed", "shop", "number", "lines", "total", "currency", "expires_at")
CLASHES = {"uq_orders_number": Conflict, "fk_orders_user": AuthenticationRequired}  # the first: another one is drawn


def problems_of(body: Row, user: Row | None) -> list[Problem]:
    """Return what stands against an order with these fields; raise AuthenticationRequired for a token that is none.

    As a guest's, the order would be lost to the account that meant it.
    """
    if user is None and "HTTP_AUTHORIZATION" in request.environ:
        raise AuthenticationRequired(INVALID_TOKEN)
    if "email" in body:
        return [] if address_of(body["email"]) else [("email", EMAIL_ISSUE)]
    return [] if user else [("email", "Is required for an order without an account.")]


@app.post(
    "/api/orders",
    auth=PUBLIC,
    limit=ORDERING,
    headers=CART,
    body=NEW_ORDER,
    checks=problems_of,
    requires_key=True,
    returns=PLACED_ORDER,
    raises=(AuthenticationRequired, Forbidden, CartEmpty, CartChanged),
    clashes=CLASHES,
    status=201,
    sends=("Location",),
    message="Order placed.",
)
def place_order(
    db: Session,
    body: Row,
    user: Row | None,
    *,
    session_id: str | None = None,
    shop: Shop,
    tokens: Tokens,
    order_hold: int,
    read_cart: Callable[..., Row],
) -> Row:
    """Order what is in the cart, at the total that the customer has seen.

    All of it or nothing: the pieces are taken out of the stock, names and prices are copied, and the cart is emptied.
    Where a line cannot be had, or the total is another one by now, the answer is 409 CART_CHANGED with the cart as it
    is now, and nothing is changed. The order is held until expires_at, and is to be paid until then. A guest gets an
    access_token, which opens the order later.
    """
    session_id = session_id or own_session_id(db, user)
    lines = db.many("orders/lock_cart", session_id=session_id)
    if lines and lines[0]["user_id"] not in (None, user and user["id"]):
        read_cart(db, session_id, user, shop)  # raises Forbidden
    if not lines or lines[0]["product_id"] is None:
        raise CartEmpty()
    total = sum((line["price"] * line["quantity"] for line in lines), Decimal("0.00"))
    if total != body["expected_total"] or not all(map(is_available, lines)):
        raise CartChanged(read_cart(db, session_id, user, shop))
    placed_at = lines[0]["placed_at"]
    token = None if user else token_urlsafe(TOKEN_BYTES)
    order: Row = {
        "number": new_number(),
        "user_id": user and user["id"],
        "token_hash": token and tokens.hash(token),
        "currency": shop.currency,
        "total": total,
        "item_count": sum(line["quantity"] for line in lines),
        "email": address_of(body["email"]) if "email" in body else user and user["email"],
        "shipping_address": json.dumps(body["shipping_address"]) if "shipping_address" in body else None,
        "note": body.get("note"),
        "placed_at": placed_at,
        "expires_at": placed_at + timedelta(seconds=order_hold),
    }
    whole = order | {"status": "placed", "payment_status": "unpaid", "paid": 0, "refunded": 0, "tracking": None}
    taken, *_ = db.together(
        "orders/take_stock",
        "orders/add",
        "orders/add_items",
        "cart/lock_known",
        "cart/clear",
        "outbox/add",
        session_id=session_id,
        messages=outbox.document(outbox.event("order.placed", event_data(whole)), confirmation(whole, lines, shop)),
        **order,
    )
    if taken != len(lines):
        raise CartChanged(read_cart(db, session_id, user, shop))
    db.count(PLACED)
    response.set_header("Location", f"/api/orders/{order['number']}")
    placed = order_of(whole, [item_of(line) for line in lines])
    return placed if token is None else placed | {"access_token": token}


@app.get(
    "/api/orders/<number:order>",
    auth=PUBLIC,
    headers=GUEST,
    returns=ORDER,
    compress=True,
    message="Order found.",
)
def get_order(db: Session, number: str, user: Row | None, tokens: Tokens, order_token: str | None = None) -> Row:
    """Show an order to whom it belongs: by the account's token, or by the Order-Token of a guest.

    An administrator sees every order. To everybody else it is a 404, as if there were none.
    """
    return answer(db, visible(db, number, user, order_token, tokens=tokens))


def own_session_id(db: Session, user: Row | None) -> str:
    """Return the session id of the account's own cart; raise CartEmpty, or ValidationError for a guest."""
    if user is None:
        raise ValidationError(("Session-ID", "Is required: it says which cart is ordered. Or send a token."))
    own = db.one("cart/find_own", user_id=user["id"])
    if own is None:
        raise CartEmpty()
    return own["session_id"]


def is_available(line: Row) -> bool:
    """Whether a line can be had as it stands. `line`: of orders/lock_cart."""
    return bool(line["is_active"]) and line["quantity"] <= line["stock_quantity"]


def item_of(line: Row) -> Row:
    """Return a line as the order has it. `line`: of orders/lock_cart."""
    copied: Row = {"product_id": line["product_id"], "name": line["name"], "unit_price": line["price"]}
    return copied | {"quantity": line["quantity"], "line_total": line["price"] * line["quantity"]}


def confirmation(order: Row, lines: list[Row], shop: Shop) -> outbox.Message:
    """Return the mail that confirms an order."""
    values: dict[str, Any] = {
        "shop": shop.name,
        "number": order["number"],
        "lines": "\n".join(
            f"{line['quantity']} × {line['name']}: {line['price'] * line['quantity']}" for line in lines
        ),
        "total": str(order["total"]),
        "currency": order["currency"],
        "expires_at": f"{order['expires_at']:%Y-%m-%d %H:%M}",
    }
    return outbox.mail(order["email"], CONFIRMATION, values)
