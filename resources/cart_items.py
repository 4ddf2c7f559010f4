"""The lines of a cart: adding, changing, removing. Each answer has the whole cart, so that nobody has to ask again."""

import json
from typing import Any

from core.app import LARGEST_ID, app
from core.contract.validation import Body
from core.db.database import Row, Session
from core.errors import (
    ApiError,
    CartFull,
    Forbidden,
    InsufficientStock,
    NotFound,
    PreconditionFailed,
    ProductWithdrawn,
)
from core.identity.auth import PUBLIC
from core.identity.limits import Limit
from core.shop import Shop
from resources import cart_lines
from resources.cart_lines import (
    CHANGE,
    CHANGE_IN_PATH,
    CHANGED_CART,
    CHANGED_ITEM,
    MOST_LINES,
    MOST_PIECES,
    NOT_IN_CART,
    SET_ITEM,
)

TAG = "Cart"
# Anybody may store lines, under any session id. 3000 lines suffice for an office with a thousand shoppers, or for
# thirty full carts. So one address can store 360,000 lines in the 30 days of CART_TTL: 370 MB with the longest session
# ids. It is one window only, because each window costs some of an add's time.
FILLING = Limit("cart-add", "3000/6 hours")
PRODUCT_ID: dict[str, Any] = {
    "type": "integer",
    "required": True,
    "min": 1,
    "meta": {"description": "The product.", "example": 2},
}
MORE: dict[str, Any] = {
    "type": "integer",
    "required": True,
    "min": 1,
    "max": MOST_PIECES,
    "meta": {"description": "How many pieces; if the product is in the cart already, how many more.", "example": 3},
}
NEW_ITEM = Body(product_id=PRODUCT_ID, quantity=MORE)
NEW_QUANTITY = Body(
    quantity={
        "type": "integer",
        "required": True,
        "min": 0,
        "max": MOST_PIECES,
        "meta": {"description": "How many pieces from now on; 0 removes the line.", "example": 3},
    }
)
UNKNOWN = "There is no such product, or it is no longer sold."
REFUSALS = (Forbidden, NotFound, InsufficientStock, CartFull, PreconditionFailed)
CHANGE_REFUSALS = (Forbidden, NotFound, InsufficientStock, ProductWithdrawn, PreconditionFailed)


@app.post(
    "/api/cart/items",
    auth=PUBLIC,
    limit=FILLING,
    headers=CHANGE,
    body=NEW_ITEM,
    status=201,
    message="Added to the cart.",
    returns=CHANGED_ITEM,
    raises=REFUSALS,
    bounds={"cart_lines": MOST_LINES, "line_quantity": MOST_PIECES},
)
@app.post(
    "/api/cart/<session_id:session>/items",
    auth=PUBLIC,
    limit=FILLING,
    headers=CHANGE_IN_PATH,
    body=NEW_ITEM,
    status=201,
    message="Added to the cart.",
    returns=CHANGED_ITEM,
    raises=REFUSALS,
)
def add_cart_item(
    db: Session, session_id: str, body: Row, user: Row | None, *, shop: Shop, if_match: str | None = None
) -> Row:
    """Put a product into the cart, or more of it if it is there already.

    The answer is the line, with the whole cart beside its fields.
    """
    product_id, quantity = body["product_id"], body["quantity"]
    if product_id > LARGEST_ID:
        raise NotFound(UNKNOWN)
    added = {"product_id": product_id, "quantity": quantity}
    count, rows = cart_lines.lock(db, session_id, user, "cart/add", "cart/show", if_match=if_match, **added)
    while not count:
        stock = db.many("cart/stock", session_id=session_id, product_ids=json.dumps([product_id]))
        if error := refusal(stock[0] if stock else None, quantity):
            raise error
        count, rows = db.together("cart/add", "cart/show", session_id=session_id, **added)  # there is more by now
    return cart_lines.changed_item(cart_lines.answer_filled(rows, session_id, user, shop), product_id)


@app.put(
    "/api/cart/items/<product_id:id>",
    auth=PUBLIC,
    headers=CHANGE,
    body=NEW_QUANTITY,
    message="Quantity set.",
    returns=SET_ITEM,
    raises=CHANGE_REFUSALS,
)
def update_cart_item(
    db: Session,
    session_id: str,
    product_id: int,
    body: Row,
    user: Row | None,
    *,
    shop: Shop,
    if_match: str | None = None,
) -> Row:
    """Set how many of a product the cart holds; 0 removes it.

    The answer is the line, with the whole cart beside its fields; after a removal it is the cart alone.
    """
    quantity = body["quantity"]
    if quantity == 0:
        return remove_cart_item(db, session_id, product_id, user, shop=shop, if_match=if_match)
    change = {"product_id": product_id, "quantity": quantity}
    _, rows = cart_lines.lock(db, session_id, user, "cart/set", "cart/show", if_match=if_match, **change)
    item = cart_lines.changed_item(cart_lines.answer(rows, session_id, user, shop), product_id)
    in_stock = item["product"]["stock_quantity"]
    if not item["product"]["is_active"]:
        raise ProductWithdrawn()
    if quantity > in_stock or quantity != item["quantity"]:
        raise InsufficientStock(in_stock, min(in_stock, MOST_PIECES), item["quantity"])
    return item


@app.put(
    "/api/cart/<session_id:session>/items/<item_id:item>",
    auth=PUBLIC,
    headers=CHANGE_IN_PATH,
    body=NEW_QUANTITY,
    message="Quantity set.",
    returns=SET_ITEM,
    raises=CHANGE_REFUSALS,
)
def update_cart_item_by_session_id(
    db: Session, session_id: str, item_id: int, body: Row, user: Row | None, *, shop: Shop, if_match: str | None = None
) -> Row:
    """Set how many of a product the cart holds, by the line's id.

    A quantity of 0 removes it: the answer then is the cart alone. Nothing is set that the stock does not suffice for.
    """
    product_id = product_of(db, session_id, item_id, user, shop)
    return update_cart_item(db, session_id, product_id, body, user, shop=shop, if_match=if_match)


@app.delete(
    "/api/cart/items/<product_id:id>",
    auth=PUBLIC,
    headers=CHANGE,
    returns=CHANGED_CART,
    raises=(Forbidden, NotFound, PreconditionFailed),
    message="Removed from the cart.",
)
def remove_cart_item(
    db: Session, session_id: str, product_id: int, user: Row | None, *, shop: Shop, if_match: str | None = None
) -> Row:
    """Take a product out of the cart.

    What is not in it is a 404.
    """
    removed = {"product_id": product_id}
    count, rows = cart_lines.lock(db, session_id, user, "cart/remove", "cart/show", if_match=if_match, **removed)
    if not count:
        raise NotFound(NOT_IN_CART)
    return {"cart": cart_lines.answer(rows, session_id, user, shop)}


@app.delete(
    "/api/cart/<session_id:session>/items/<item_id:item>",
    auth=PUBLIC,
    headers=CHANGE_IN_PATH,
    returns=CHANGED_CART,
    raises=(Forbidden, PreconditionFailed),
    message="Removed from the cart.",
)
def remove_cart_item_by_session_id(
    db: Session, session_id: str, item_id: int, user: Row | None, *, shop: Shop, if_match: str | None = None
) -> Row:
    """Take a product out of the cart, by the line's id.

    What is not in it is a 404.
    """
    product_id = product_of(db, session_id, item_id, user, shop)
    return remove_cart_item(db, session_id, product_id, user, shop=shop, if_match=if_match)


def product_of(db: Session, session_id: str, item_id: int, user: Row | None, shop: Shop) -> int:
    """Return the product that a line of this cart holds; raise NotFound."""
    line = db.one("cart/find", session_id=session_id, id=item_id)
    if line is None:
        cart_lines.read(db, session_id, user, shop)  # another account's cart is a 403
        raise NotFound("There is no such item in this cart.")
    return line["product_id"]


def refusal(product: Row | None, quantity: int) -> ApiError | None:
    """Return why so many more cannot be had, or None. `product`: a row of cart/stock, or None for an unknown one."""
    if product is None or not product["is_active"]:
        return NotFound(UNKNOWN)
    in_stock, in_cart = product["stock_quantity"], product["in_cart"]
    available = min(max(0, in_stock - in_cart), MOST_PIECES)
    return InsufficientStock(in_stock, available, in_cart, held=True) if quantity > available else None
