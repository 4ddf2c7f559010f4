"""Carts: what a visitor is about to buy. Who knows the session id may use the cart.

Each route exists twice, as the specification has it: with the id in the header Session-ID, and with it in the path.
The header form names a line by its product, the path form by the line's own id.
"""

import re
import secrets
from decimal import Decimal
from typing import NoReturn

from core.app import LARGEST_ID, add_filter, app, existing_id
from core.contract.shapes import Shape
from core.contract.validation import Body, Headers
from core.db.database import Row, Session
from core.errors import Conflict, InsufficientStock, NotFound, ValidationError
from core.identity.auth import PUBLIC
from core.identity.limits import Limit

MOST_LINES = 100
MOST_PIECES = 999  # of a product that one request can ask for
LONGER = 2  # what cart/add counts if the product was in the cart already
# Anybody may store lines, under any session id. 3000 lines suffice for an office with a thousand shoppers, or for
# thirty full carts. So one address can store 360,000 lines in the 30 days of CART_TTL: 370 MB with the longest session
# ids. It is one window only, because each window costs some of an add's time.
FILLING = Limit("cart-add", "3000/6 hours")
LARGEST_LINE = 2**63 - 1  # BIGINT

SESSION_ID = r"[A-Za-z0-9._~-]{1,255}"
SESSION_ISSUE = "Must be 1 to 255 characters of A-Z, a-z, 0-9, '.', '_', '~' and '-'. POST /api/cart gives you one."
SESSION = Headers(
    **{
        "Session-ID": {
            "type": "string",
            "required": True,
            "maxlength": 255,
            "regex": SESSION_ID + r"\Z",
            "meta": {"issue": SESSION_ISSUE},
        }
    }
)
QUANTITY = {"type": "integer", "required": True, "min": 1, "max": MOST_PIECES, "meta": {"example": 3}}
NEW_ITEM = Body(
    product_id={"type": "integer", "required": True, "min": 1, "meta": {"example": 2}},
    quantity=QUANTITY,
)
CHANGED_ITEM = Body(quantity=QUANTITY)


def _session_in_path(text: str) -> str:
    if not re.fullmatch(SESSION_ID, text):
        raise ValidationError(("session_id", SESSION_ISSUE))
    return text


def _line_id(text: str) -> int:
    return existing_id(text, LARGEST_LINE)


# Not "items": DELETE /api/cart/items without a product would empty the cart of a session with that name.
add_filter(app, "session", r"(?!items(?:/|$))[^/]+", _session_in_path, {"type": "string", "pattern": f"^{SESSION_ID}$"})
add_filter(app, "item", r"[0-9]+", _line_id, {"type": "integer", "minimum": 1, "maximum": LARGEST_LINE})

CART_ITEM = Shape(
    "CartItem",
    id={"type": "integer", "meta": {"example": 7}},
    product_id={"type": "integer", "meta": {"example": 2}},
    quantity={"type": "integer", "meta": {"example": 3}},
    unit_price={"type": "number", "meta": {"example": 19.9}},
    line_total={"type": "number", "meta": {"example": 59.7}},
    available={"type": "boolean", "meta": {"example": True}},
    issue={"type": "string", "nullable": True, "meta": {"example": None}},
    product={
        "type": "dict",
        "shape": Shape(
            "CartProduct",
            id={"type": "integer", "meta": {"example": 2}},
            name={"type": "string", "meta": {"example": "Desk Lamp"}},
            price={"type": "number", "meta": {"example": 19.9}},
            image_url={
                "type": "string",
                "nullable": True,
                "meta": {
                    "description": "An http(s) URL, or a path: join it to the API's address. Null: there is none.",
                    "example": "/images/v1/desk-lamp-l523-forest-green.svg",
                },
            },
            stock_quantity={"type": "integer", "meta": {"example": 12}},
            is_active={"type": "boolean", "meta": {"example": True}},
        ),
    },
)
CART = Shape(
    "Cart",
    session_id={"type": "string", "meta": {"example": "my-cart"}},
    items={"type": "list", "items": CART_ITEM},
    item_count={"type": "integer", "meta": {"example": 1}},
    total={"type": "number", "meta": {"example": 59.7}},
)
OPENED = Shape(
    "OpenedCart", session_id={"type": "string", "meta": {"example": "8k-h7Esn6IjmMcp18mKmJo7s3pyt7UkgwCK3GGtKX5Y"}}
)
REFUSALS = (NotFound, InsufficientStock, Conflict)


@app.post(
    "/api/cart",
    auth=PUBLIC,
    returns=OPENED,
    status=201,
    message="Cart opened. Send its session_id as the header Session-ID.",
)
def create_cart() -> Row:
    """Issue a session id that cannot be guessed; nothing is stored yet."""
    return {"session_id": secrets.token_urlsafe(32)}


@app.get("/api/cart", auth=PUBLIC, headers=SESSION, returns=CART, message="Cart found.")
@app.get("/api/cart/<session_id:session>", auth=PUBLIC, returns=CART, message="Cart found.")
def get_cart(db: Session, session_id: str) -> Row:
    """Show the cart: its lines at today's prices, and their total."""
    lines = db.many("cart/show", session_id=session_id)
    total = sum((line["line_total"] for line in lines if line["is_active"]), Decimal("0.00"))  # exact: 28 digits
    return {
        "session_id": session_id,
        "items": [item(line) for line in lines],
        "item_count": len(lines),
        "total": total,
    }


@app.post(
    "/api/cart/items",
    auth=PUBLIC,
    bounds={"cart_lines": MOST_LINES, "line_quantity": MOST_PIECES},
    limit=FILLING,
    headers=SESSION,
    body=NEW_ITEM,
    status=201,
    message="Added to the cart.",
    returns=CART_ITEM,
    raises=REFUSALS,
)
@app.post(
    "/api/cart/<session_id:session>/items",
    auth=PUBLIC,
    limit=FILLING,
    body=NEW_ITEM,
    status=201,
    message="Added to the cart.",
    returns=CART_ITEM,
    raises=REFUSALS,
)
def add_cart_item(db: Session, session_id: str, body: Row) -> Row:
    """Put a product into the cart, or more of it if it is there already."""
    whose, quantity = {"session_id": session_id, "product_id": body["product_id"]}, body["quantity"]
    if db.again:  # others add to this cart at once: lock its lines first, or there would be deadlocks again
        db.many("cart/lock", session_id=session_id)
    done = body["product_id"] <= LARGEST_ID and db.run("cart/add", **whose, quantity=quantity)
    if not done:
        refuse(db.one("cart/refusal", **whose))
    if done == LONGER:
        return item(db.one("cart/line", **whose))
    line = db.one("cart/new_line", **whose)
    if line["cart_lines"] > MOST_LINES:
        raise Conflict(f"A cart holds at most {MOST_LINES} different products. Remove one first.")
    return item(line)


@app.put(
    "/api/cart/items/<product_id:id>",
    auth=PUBLIC,
    headers=SESSION,
    body=CHANGED_ITEM,
    message="Quantity set.",
    returns=CART_ITEM,
    raises=REFUSALS,
)
def update_cart_item(db: Session, session_id: str, product_id: int, body: Row) -> Row:
    """Set how many of a product the cart holds."""
    whose = {"session_id": session_id, "product_id": product_id}
    db.run("cart/set", **whose, quantity=body["quantity"])
    line = db.one("cart/line", **whose)
    if line is None:
        raise NotFound("This product is not in the cart.")
    if not line["is_active"]:
        raise Conflict("This product is no longer sold. Remove it from the cart.")
    if body["quantity"] > line["stock_quantity"]:
        raise InsufficientStock(only(line["stock_quantity"]), line["stock_quantity"])
    if body["quantity"] != line["quantity"]:  # possible by now: somebody has added stock, or the line
        return update_cart_item(db, session_id, product_id, body)
    return item(line)


@app.put(
    "/api/cart/<session_id:session>/items/<item_id:item>",
    auth=PUBLIC,
    body=CHANGED_ITEM,
    message="Quantity set.",
    returns=CART_ITEM,
    raises=REFUSALS,
)
def update_cart_item_by_session_id(db: Session, session_id: str, item_id: int, body: Row) -> Row:
    """Set how many of a product the cart holds, by the line's id."""
    return update_cart_item(db, session_id, product_of(db, session_id, item_id), body)


@app.delete(
    "/api/cart/items/<product_id:id>",
    auth=PUBLIC,
    headers=SESSION,
    raises=(NotFound,),
    message="Removed from the cart.",
)
def remove_cart_item(db: Session, session_id: str, product_id: int) -> None:
    """Take a product out of the cart."""
    if not db.run("cart/remove", session_id=session_id, product_id=product_id):
        raise NotFound("This product is not in the cart.")


@app.delete("/api/cart/<session_id:session>/items/<item_id:item>", auth=PUBLIC, message="Removed from the cart.")
def remove_cart_item_by_session_id(db: Session, session_id: str, item_id: int) -> None:
    """Take a product out of the cart, by the line's id."""
    remove_cart_item(db, session_id, product_of(db, session_id, item_id))


@app.delete("/api/cart", auth=PUBLIC, headers=SESSION, message="Cart emptied.")
@app.delete("/api/cart/<session_id:session>", auth=PUBLIC, message="Cart emptied.")
def clear_cart(db: Session, session_id: str) -> None:
    """Empty the cart; also one that is empty already."""
    db.run("cart/clear", session_id=session_id)


def product_of(db: Session, session_id: str, item_id: int) -> int:
    """Return the product that a line of this cart holds; raise NotFound."""
    line = db.one("cart/find", session_id=session_id, id=item_id)
    if line is None:
        raise NotFound("There is no such item in this cart.")
    return line["product_id"]


def refuse(product: Row | None) -> NoReturn:
    """Raise why an add is refused. `product`: a row of cart/refusal, or None for an unknown product."""
    if product is None or not product["is_active"]:
        raise NotFound("There is no such product, or it is no longer sold.")
    in_cart = f", and the cart holds {product['in_cart']} already" if product["in_cart"] else ""
    raise InsufficientStock(only(product["stock_quantity"], in_cart), product["stock_quantity"])


def only(in_stock: int, in_cart: str = "") -> str:
    """Return the sentence about a stock that does not suffice."""
    return f"Only {in_stock} in stock{in_cart}." if in_stock else "Sold out."


def item(line: Row) -> Row:
    """Return a line (a row of cart/show or cart/line) as it is answered."""
    issue = None
    if not line["is_active"]:
        issue = "No longer sold."
    elif line["quantity"] > line["stock_quantity"]:
        issue = only(line["stock_quantity"])
    return {
        "id": line["id"],
        "product_id": line["product_id"],
        "quantity": line["quantity"],
        "unit_price": line["unit_price"],
        "line_total": line["line_total"],
        "available": issue is None,
        "issue": issue,
        "product": {
            "id": line["product_id"],
            "name": line["name"],
            "price": line["unit_price"],
            "image_url": line["image_url"],
            "stock_quantity": line["stock_quantity"],
            "is_active": line["is_active"],
        },
    }
