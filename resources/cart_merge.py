"""The cart of an account takes over the cart of a guest: at POST /api/cart/merge, and at a login that names it."""

import json

from core.app import app
from core.contract.shapes import Shape, field
from core.db.database import Row, Session
from core.errors import Forbidden, PreconditionFailed
from core.identity.auth import USER
from core.shop import Shop
from resources import cart_lines
from resources.cart import DELETED, own_session_id
from resources.cart_lines import CHANGE, INSUFFICIENT, MOST_LINES, WHOLE, WITHDRAWN

TAG = "Cart"
CART_FULL = "CART_FULL"
ADJUSTMENT = Shape(
    "CartAdjustment",
    product_id=field("integer", "The product.", 2),
    code=field(
        "string",
        "Why: it is no longer sold, the stock does not suffice, or the cart has 100 lines.",
        INSUFFICIENT,
        allowed=[WITHDRAWN, INSUFFICIENT, CART_FULL],
    ),
    wanted=field("integer", "The greater of the two quantities.", 5),
    quantity=field("integer", "What the cart has now; 0: no such line.", 3),
)
MERGED = Shape(
    "MergedCart",
    cart=WHOLE,
    adjustments=field("list", "What was cut, because it cannot be had. Empty if nothing was.", items=ADJUSTMENT),
)


@app.post(
    "/api/cart/merge",
    auth=USER,
    headers=CHANGE,
    returns=MERGED,
    raises=(Forbidden, PreconditionFailed),
    clashes=DELETED,
    sends=("ETag",),
    message="Carts merged.",
)
def merge_cart(db: Session, session_id: str, user: Row, shop: Shop, if_match: str | None = None) -> Row:
    """Take the cart of a guest over into the account's own cart.

    Session-ID names the guest's cart. Of each product the account's cart then has the greater of both quantities, but
    no more than the stock; `adjustments` says what was cut. The guest's cart is empty afterwards, so repeating it
    changes nothing. If-Match has the ETag of the account's cart.
    """
    own = own_session_id(db, user["id"])
    adjustments = take_over(db, session_id, own, user, if_match) if session_id != own else None
    cart = cart_lines.read(db, own, user, shop)
    if adjustments is None:
        cart_lines.require_match(if_match, cart["version"] + 1)  # as if it were changed
    return {"cart": cart, "adjustments": adjustments or []}


def merge_at_login(db: Session, session_id: str, user: Row, shop: Shop) -> Row:
    """Do the same for a login. Another account's cart is left alone: it is no reason to refuse the login."""
    try:
        return merge_cart(db, session_id, user, shop)
    except Forbidden:
        return {"cart": cart_lines.read(db, own_session_id(db, user["id"]), user, shop), "adjustments": []}


def take_over(db: Session, guest: str, own: str, user: Row, if_match: str | None) -> list[Row] | None:
    """Move the lines of a guest's cart into the account's own, and return the adjustments; None if there are no lines.

    Both carts are locked in the order of their ids, so that no two requests wait for each other. `if_match` is about
    the account's.
    """
    rows = db.many("cart/show", session_id=guest)
    cart_lines.require_owner(rows, user)
    if not cart_lines.lines_of(rows):
        return None
    shown = {
        id: cart_lines.lock(db, id, user, "cart/show", if_match=if_match if id == own else None)[0]
        for id in sorted((guest, own))
    }
    mine = {line["product_id"]: line for line in cart_lines.lines_of(shown[own])}
    changed, adjustments, count = [], [], len(mine)
    for line in cart_lines.lines_of(shown[guest]):
        product_id, present = line["product_id"], mine.get(line["product_id"])
        better = present if present and present["quantity"] >= line["quantity"] else line
        wanted, code = better["quantity"], None
        quantity = min(wanted, line["stock_quantity"] if line["is_active"] else 0)
        if quantity < wanted:
            code = INSUFFICIENT if line["is_active"] else WITHDRAWN
        if quantity == 0 and present:  # the line stays and says so
            quantity = present["quantity"]
        elif quantity and not present and count == MOST_LINES:
            quantity, code = 0, CART_FULL
        if code:
            adjustments.append({"product_id": product_id, "code": code, "wanted": wanted, "quantity": quantity})
        if quantity and (present is None or quantity != present["quantity"]):
            price = better["price_when_added"]
            changed.append({"product_id": product_id, "quantity": quantity, "price": price and str(price)})
            count += present is None
    if changed:
        db.run("cart/set_many", session_id=own, lines=json.dumps(changed))
    db.run("cart/clear", session_id=guest)
    return adjustments
