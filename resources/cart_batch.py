"""Adding several products to a cart at once: all of them or none."""

import json

from core.app import LARGEST_ID, app
from core.contract.validation import Body
from core.db.database import Row, Session
from core.errors import ApiError, ItemsRefused, NotFound
from core.identity.auth import PUBLIC
from core.identity.limits import Limit
from core.shop import Shop
from resources import cart_lines
from resources.cart_items import NEW_ITEM, REFUSALS, UNKNOWN, refusal
from resources.cart_lines import CHANGE, CHANGE_IN_PATH, CHANGED_CART, MOST_LINES

TAG = "Cart"
FILLING_MANY = Limit("cart-batch", "100/6 hours")  # of 100 lines each: three times as much as FILLING
NEW_ITEMS = Body(
    items={
        "type": "list",
        "required": True,
        "minlength": 1,
        "maxlength": MOST_LINES,
        "each": NEW_ITEM,
        "meta": {"issue": "Must be a list of 1 to 100 items.", "description": "What to add, 1 to 100 items."},
    }
)


@app.post(
    "/api/cart/items/batch",
    auth=PUBLIC,
    limit=FILLING_MANY,
    headers=CHANGE,
    body=NEW_ITEMS,
    status=201,
    message="Added to the cart.",
    returns=CHANGED_CART,
    raises=REFUSALS,
)
@app.post(
    "/api/cart/<session_id:session>/items/batch",
    auth=PUBLIC,
    limit=FILLING_MANY,
    headers=CHANGE_IN_PATH,
    body=NEW_ITEMS,
    status=201,
    message="Added to the cart.",
    returns=CHANGED_CART,
    raises=REFUSALS,
)
def add_cart_items(
    db: Session, session_id: str, body: Row, user: Row | None, *, shop: Shop, if_match: str | None = None
) -> Row:
    """Put several products into the cart: all of them or none.

    A refusal lists each item that cannot be had: items[3], a code, and the quantity that could have been had.
    """
    asked = json.dumps(sorted({item["product_id"] for item in body["items"] if item["product_id"] <= LARGEST_ID}))
    [stock] = cart_lines.lock(db, session_id, user, "cart/stock", if_match=if_match, product_ids=asked)
    found = {product["id"]: product for product in stock}
    refusals: list[tuple[str, ApiError]] = []
    lines: dict[int, Row] = {}
    for place, item in enumerate(body["items"]):
        product_id, quantity = item["product_id"], item["quantity"]
        product = found.get(product_id)
        if (error := refusal(product, quantity)) or not product:
            refusals.append((f"items[{place}]", error or NotFound(UNKNOWN)))
            continue
        product["in_cart"] += quantity  # the same product may come again
        line = {"product_id": product_id, "quantity": product["in_cart"], "price": str(product["price"])}
        lines[product_id] = line
    if refusals:
        raise ItemsRefused(refusals)
    lines_set = json.dumps(list(lines.values()))
    _, rows = db.together("cart/set_many", "cart/show", session_id=session_id, lines=lines_set)
    return {"cart": cart_lines.answer_filled(rows, session_id, user, shop)}
