"""Carts as they are read and answered: their lines, what is wrong with a line, the total, and whose cart it is."""

from decimal import Decimal
from operator import itemgetter
from typing import Any

from bottle import response

from core.contract.etag import names
from core.contract.fields import session_id as session_rules
from core.contract.shapes import Shape, field
from core.contract.validation import Headers
from core.db.database import Row, Session
from core.errors import CartFull, Forbidden, InsufficientStock, NotFound, PreconditionFailed
from core.shop import Shop

FOREIGN = "This cart belongs to an account. Log in with that account, and send its token."
NOT_IN_CART = "This product is not in the cart."
MOST_LINES = 100
MOST_PIECES = 999  # that one request may ask for
SESSION_ISSUE = "Must be 1 to 255 characters of A-Z, a-z, 0-9, '.', '_', '~' and '-'. POST /api/cart gives you one."
SESSION_RULES = session_rules(
    SESSION_ISSUE,
    "The session id of the cart, from `createCart`: needed, here or by Authorize. Who knows the id of a guest's cart "
    "has that cart.",
    scheme="cart",
)
IF_MATCH_RULES: dict[str, Any] = {
    "type": "string",
    "maxlength": 1000,
    "meta": {
        "issue": "The ETag of the cart that you changed.",
        "description": "The ETag of the cart as you know it. If it was changed since, the answer is 412.",
    },
}
SESSION = Headers(**{"Session-ID": {**SESSION_RULES, "required": True}})
CHANGE = Headers(**{"Session-ID": {**SESSION_RULES, "required": True}, "If-Match": IF_MATCH_RULES})
CHANGE_IN_PATH = Headers(**{"If-Match": IF_MATCH_RULES})

WITHDRAWN, INSUFFICIENT, PRICE_CHANGED = "WITHDRAWN", "INSUFFICIENT_STOCK", "PRICE_CHANGED"
ISSUE = Shape(
    "CartIssue",
    code=field(
        "string",
        "What is wrong: the product is no longer sold, the stock does not suffice, or the price has changed since it "
        "was added. With PRICE_CHANGED the line can be bought, at today's price.",
        PRICE_CHANGED,
        allowed=[WITHDRAWN, INSUFFICIENT, PRICE_CHANGED],
    ),
    message=field("string", "The same, as a sentence for a shopper.", "Was 17.90 when you added it."),
    in_stock=field("integer", "With INSUFFICIENT_STOCK: how many there are.", 2, required=False),
    was=field("number", "With PRICE_CHANGED: the price when it was added.", 17.9, required=False),
)
PRODUCT = Shape(
    "CartProduct",
    id=field("integer", "The number of the product.", 2),
    name=field("string", "What it is called.", "Desk Lamp"),
    price=field("number", "Today's price of one.", 19.9),
    image_url=field(
        "string",
        "An http(s) URL, or a path: join it to the API's address. Null: there is none.",
        "/images/v1/desk-lamp-l523-forest-green.svg",
        nullable=True,
    ),
    stock_quantity=field("integer", "How many are in stock.", 12),
    is_active=field("boolean", "Whether it is sold at all.", True),
)
ITEM_FIELDS: dict[str, dict[str, Any]] = {
    "id": field("integer", "The number of the line, for the path form.", 7),
    "product_id": field("integer", "The product, and the number of the line for the header form.", 2),
    "quantity": field("integer", "How many pieces.", 3),
    "unit_price": field("number", "Today's price of one.", 19.9),
    "line_total": field("number", "The unit_price times the quantity.", 59.7),
    "available": field("boolean", "Whether the line can be bought as it stands.", True),
    "issue": field("dict", "What is wrong with the line, or null.", shape=ISSUE, nullable=True),
    "product": field("dict", "The product as it is today.", shape=PRODUCT),
}
CART_ITEM = Shape("CartItem", **ITEM_FIELDS)
CART = Shape(
    "Cart",
    session_id=field("string", "Whose cart it is.", "my-cart"),
    version=field("integer", "Grows with each change of the cart; 0 for an unknown cart. It is the ETag, too.", 4),
    currency=field("string", "The currency of all prices (ISO 4217).", "EUR"),
    items=field("list", "The lines, in the order in which they were added.", items=CART_ITEM),
    item_count=field("integer", "How many pieces are in the cart.", 3),
    line_count=field("integer", "How many lines it has.", 1),
    total=field("number", "The sum of the lines that are available.", 59.7),
)
WHOLE = field("dict", "The whole cart after the change.", shape=CART)
CHANGED_CART = Shape("ChangedCart", cart=WHOLE)
CHANGED_ITEM = Shape("ChangedCartItem", **ITEM_FIELDS, cart=WHOLE)
SET_ITEM = Shape("SetCartItem", **ITEM_FIELDS, cart=WHOLE).at_least("cart")  # with quantity 0 there is no item left


def read(db: Session, session_id: str, user: Row | None, shop: Shop) -> Row:
    """Return the cart as it is answered (a CART). Raises Forbidden for another account's."""
    return answer(db.many("cart/show", session_id=session_id), session_id, user, shop)


def answer(rows: list[Row], session_id: str, user: Row | None, shop: Shop) -> Row:
    """Return the cart as it is answered, and set its ETag. `rows`: of cart/show. Raises Forbidden as `read` does."""
    require_owner(rows, user)
    cart = cart_of(session_id, rows, shop.currency)
    response.set_header("ETag", etag_of(cart["version"]))
    return cart


def lock(
    db: Session, session_id: str, user: Row | None, *statements: str, if_match: str | None = None, **params: Any
) -> list[Any]:
    """Lock the cart for a change, and make it if it is not there; return what the `statements` give.

    They are sent together with the lock: if this raises, they have run in vain. Raises Forbidden for another account's
    cart, and PreconditionFailed if `if_match` names another version than the one before.
    """
    user_id = user and user["id"]
    version, *results = db.together("cart/lock", *statements, session_id=session_id, user_id=user_id, **params)
    if not version:
        raise Forbidden(FOREIGN)
    require_match(if_match, version)
    return results


def answer_filled(rows: list[Row], session_id: str, user: Row | None, shop: Shop) -> Row:
    """Do what `answer` does; raise CartFull if there are too many lines after an add."""
    cart = answer(rows, session_id, user, shop)
    if cart["line_count"] > MOST_LINES:
        raise CartFull(f"A cart holds at most {MOST_LINES} different products. Remove one first.")
    return cart


def require_owner(rows: list[Row], user: Row | None) -> None:
    """Raise Forbidden for another account's cart. `rows`: of cart/show."""
    owner = rows[0]["user_id"] if rows else None
    if owner is not None and (user is None or user["id"] != owner):
        raise Forbidden(FOREIGN)


def require_match(if_match: str | None, version: int) -> None:
    """Raise PreconditionFailed if If-Match names another version than the one before `version` (RFC 9110, 13.1.1)."""
    if if_match is not None and not names(if_match, etag_of(max(0, version - 1))):
        raise PreconditionFailed(
            "The cart was changed since you read it. Read it again, and send the change with its new ETag."
        )


def etag_of(version: int) -> str:
    """Return the ETag of a cart with this version."""
    return f'"{version}"'


def cart_of(session_id: str, rows: list[Row], currency: str) -> Row:
    """Return a cart as it is answered. `rows`: of cart/show."""
    items = [item_of(row) for row in lines_of(rows)]
    return {
        "session_id": session_id,
        "version": rows[0]["version"] if rows else 0,
        "currency": currency,
        "items": items,
        "item_count": sum(item["quantity"] for item in items),
        "line_count": len(items),
        "total": sum((item["line_total"] for item in items if item["available"]), Decimal("0.00")),  # exact: 28 digits
    }


def lines_of(rows: list[Row]) -> list[Row]:
    """Return the rows that are lines, in the order in which they were added. `rows`: of cart/show."""
    return sorted((row for row in rows if row["id"] is not None), key=itemgetter("id"))


def item_of(row: Row) -> Row:
    """Return a line as it is answered. `row`: of cart/show."""
    issue = issue_of(row)
    price, quantity, product_id = row["price"], row["quantity"], row["product_id"]
    return {
        "id": row["id"],
        "product_id": product_id,
        "quantity": quantity,
        "unit_price": price,
        "line_total": price * quantity,
        "available": issue is None or issue["code"] == PRICE_CHANGED,
        "issue": issue,
        "product": {
            "id": product_id,
            "name": row["name"],
            "price": price,
            "image_url": row["image_url"],
            "stock_quantity": row["stock_quantity"],
            "is_active": row["is_active"],
        },
    }


def issue_of(row: Row) -> Row | None:
    """Return what is wrong with a line, or None. `row`: of cart/show."""
    if not row["is_active"]:
        return {"code": WITHDRAWN, "message": "No longer sold. Remove it from the cart."}
    in_stock, was = row["stock_quantity"], row["price_when_added"]
    if row["quantity"] > in_stock:
        return {"code": INSUFFICIENT, "message": InsufficientStock.sentence(in_stock), "in_stock": in_stock}
    if was is not None and was != row["price"]:
        return {"code": PRICE_CHANGED, "message": f"Was {was} when you added it.", "was": was}
    return None


def changed_item(cart: Row, product_id: int) -> Row:
    """Return the line of a product with the whole cart beside its fields (a CHANGED_ITEM); raise NotFound."""
    for item in cart["items"]:
        if item["product_id"] == product_id:
            return {**item, "cart": cart}
    raise NotFound(NOT_IN_CART)
