"""Carts: what a visitor is about to buy. Who knows the session id may use the cart; an account's cart needs its token.

Each route exists twice, as the specification has it: with the id in the header Session-ID, and with it in the path.
The header form names a line by its product, the path form by the line's own id.
"""

import re
import secrets

from bottle import request

from core.app import add_filter, app, existing_id
from core.contract.fields import SESSION_ID
from core.contract.shapes import Shape, field
from core.db.database import Row, Session
from core.errors import AuthenticationRequired, Forbidden, PreconditionFailed, ValidationError
from core.identity.auth import INVALID_TOKEN, PUBLIC
from core.shop import Shop
from resources import cart_lines
from resources.cart_lines import CART, CHANGE, CHANGE_IN_PATH, CHANGED_CART, SESSION, SESSION_ISSUE

LARGEST_LINE = 2**63 - 1  # BIGINT
OPENED = Shape(
    "OpenedCart",
    session_id=field(
        "string",
        "Send it as the header Session-ID. Keep it secret: who knows it has the cart.",
        "8k-h7Esn6IjmMcp18mKmJo7s3pyt7UkgwCK3GGtKX5Y",
    ),
)


DELETED = {"fk_carts_user": AuthenticationRequired}  # the account goes at the same moment


def _session_in_path(text: str) -> str:
    if not re.fullmatch(SESSION_ID, text):
        raise ValidationError(("session_id", SESSION_ISSUE))
    return text


def _line_id(text: str) -> int:
    return existing_id(text, LARGEST_LINE)


# Not "items" and not "merge": DELETE /api/cart/items without a product would empty the cart of a session "items".
PATH = {
    "type": "string",
    "pattern": f"^{SESSION_ID}$",
    "description": "The session id of the cart, as in the header Session-ID.",
    "examples": ["my-cart"],
}
LINE = {
    "type": "integer",
    "minimum": 1,
    "maximum": LARGEST_LINE,
    "description": "The id of a line of the cart.",
    "examples": [7],
}
add_filter(app, "session", r"(?!(?:items|merge)(?:/|$))[^/]+", _session_in_path, PATH)
add_filter(app, "item", r"[0-9]+", _line_id, LINE)


@app.post(
    "/api/cart",
    auth=PUBLIC,
    returns=OPENED,
    status=201,
    message="Cart opened. Send its session_id as the header Session-ID.",
    raises=(AuthenticationRequired,),
    clashes=DELETED,
)
def create_cart(db: Session, user: Row | None) -> Row:
    """Issue a session id that cannot be guessed; nothing is stored yet.

    With a token it is the id of the account's own cart: the same one on every device, and for this account alone.
    """
    if user:
        return {"session_id": own_session_id(db, user["id"])}
    if "HTTP_AUTHORIZATION" in request.environ:  # a guest's cart would be lost at the next login
        raise AuthenticationRequired(INVALID_TOKEN)
    return {"session_id": secrets.token_urlsafe(32)}


@app.get(
    "/api/cart", auth=PUBLIC, headers=SESSION, returns=CART, raises=(Forbidden,), sends=("ETag",), message="Cart found."
)
@app.get(
    "/api/cart/<session_id:session>",
    auth=PUBLIC,
    returns=CART,
    raises=(Forbidden,),
    sends=("ETag",),
    message="Cart found.",
)
def get_cart(db: Session, session_id: str, user: Row | None, shop: Shop) -> Row:
    """Show the cart: its lines at today's prices, what is wrong with a line, and the total of what can be bought.

    A session that nobody knows is an empty cart. Reading never stores anything.
    """
    return cart_lines.read(db, session_id, user, shop)


@app.delete(
    "/api/cart",
    auth=PUBLIC,
    headers=CHANGE,
    returns=CHANGED_CART,
    raises=(Forbidden, PreconditionFailed),
    message="Cart emptied.",
)
@app.delete(
    "/api/cart/<session_id:session>",
    auth=PUBLIC,
    headers=CHANGE_IN_PATH,
    returns=CHANGED_CART,
    raises=(Forbidden, PreconditionFailed),
    message="Cart emptied.",
)
def clear_cart(db: Session, session_id: str, user: Row | None, shop: Shop, if_match: str | None = None) -> Row:
    """Empty the cart.

    One that is empty already is no error.
    """
    names = ("cart/lock_known", "cart/clear", "cart/show")
    version, _, rows = db.together(*names, session_id=session_id, user_id=user and user["id"])
    cart = cart_lines.answer(rows, session_id, user, shop)
    if rows and not version:  # another request has made the cart between these statements: it must be locked, too
        return clear_cart(db, session_id, user, shop, if_match)
    cart_lines.require_match(if_match, version)
    return {"cart": cart}


def own_session_id(db: Session, user_id: int) -> str:
    """Return the session id of an account's own cart, which is made if there is none."""
    found = db.one("cart/find_own", user_id=user_id)
    if found is None:
        db.run("cart/add_own", session_id=secrets.token_urlsafe(32), user_id=user_id)
        found = db.one("cart/find_own", user_id=user_id)
    return found["session_id"]
