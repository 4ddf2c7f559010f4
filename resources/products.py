"""Products: what the shop sells. Anyone may read; administrators write."""

from bottle import response

from core.app import app
from core.contract.etag import etag_of, matches
from core.contract.fields import LARGEST_COUNT
from core.contract.forms import Problem
from core.contract.validation import Body, Changes, Headers
from core.db.database import Row, Session
from core.errors import InsufficientStock, NotFound, PreconditionFailed, ValidationError
from core.identity.audit import Record
from core.identity.auth import ADMIN, PUBLIC
from resources.products_events import tell
from resources.products_fields import (
    CATALOGUE,
    DEFAULTS,
    FIELDS,
    NO_CATEGORY,
    PRODUCT,
    REQUIRED,
    lock_categories,
    state,
)
from resources.products_words import words_kept

NEW = {name: {"required": True} for name in REQUIRED} | {
    name: {"default": value} for name, value in DEFAULTS.items() if value is not None
}
NEW_PRODUCT = Body(**{name: {**rules, **NEW.get(name, {})} for name, rules in FIELDS.items()})
CHANGED_PRODUCT = Changes(**FIELDS)
NO_PRODUCT = "There is no such product."
UNITS = "Must be a whole number, not 0: how many more, or with a minus how many fewer."
STOCK_CHANGE = Body(
    change={
        "type": "integer",
        "required": True,
        "min": -LARGEST_COUNT,
        "max": LARGEST_COUNT,
        "meta": {
            "issue": UNITS,
            "description": "How many pieces more, or with a minus how many fewer. 0 is refused.",
            "example": -3,
        },
    }
)
IF_MATCH = Headers(
    **{
        "If-Match": {
            "type": "string",
            "maxlength": 1000,
            "meta": {
                "issue": "Must be the ETag of the product that you changed.",
                "description": "The `ETag` of the product as you have read it: 412 if somebody has changed it since. "
                "Without it, the last change wins.",
            },
        }
    }
)


@app.get("/api/products/<id:id>", auth=PUBLIC, cache=CATALOGUE, returns=PRODUCT, message="Product found.")
def get_product(db: Session, id: int, user: Row | None) -> Row:
    """Show one product on sale; to an administrator also one that is not.

    The token is optional here, and one that is not valid counts as none. What only an administrator sees is not
    stored by any cache.
    """
    response.set_header("Vary", "Authorization")
    if user and user["role"] == "admin":
        response.set_header("Cache-Control", "private, no-store")
        return existing(db, id)
    product = db.one("products/get", id=id)
    if product is None:
        raise NotFound("There is no such product, or it is no longer sold.")
    return product


def problems_of(db: Session, body: Row) -> list[Problem]:
    """Return what stands against these fields of a product. Its category is locked: nobody deletes it meanwhile."""
    id = body.get("category_id")
    return [("category_id", NO_CATEGORY)] if id is not None and not lock_categories(db, [id]) else []


@app.post(
    "/api/products",
    auth=ADMIN,
    body=NEW_PRODUCT,
    checks=problems_of,
    returns=PRODUCT,
    status=201,
    compress=True,
    sends=("Location", "ETag"),
    message="Product added to the catalogue.",
)
def create_product(db: Session, body: Row, user: Row, record: Record) -> Row:
    """Add a product to the catalogue.

    Name and price are needed. An empty description is stored as null.
    """
    with words_kept(db, []) as added:
        id = db.add("products/add", **stored(DEFAULTS | body))
        added.append(id)
    response.set_header("Location", f"/api/products/{id}")
    product = tagged(existing(db, id))
    record(db, user, [("product", id, "created", None, state(product))])
    tell(db, (product, "created"))
    return product


@app.put(
    "/api/products/<id:id>",
    auth=ADMIN,
    headers=IF_MATCH,
    body=CHANGED_PRODUCT,
    checks=problems_of,
    returns=PRODUCT,
    raises=(PreconditionFailed,),
    compress=True,
    message="Product changed.",
)
def update_product(db: Session, id: int, body: Row, *, user: Row, record: Record, if_match: str | None = None) -> Row:
    """Change the fields of a product that are sent.

    The others stay as they are. With If-Match it is changed only if nobody was faster.
    """
    return change(db, id, body, user=user, record=record, if_match=if_match, action="changed")


@app.delete(
    "/api/products/<id:id>",
    auth=ADMIN,
    headers=IF_MATCH,
    returns=PRODUCT,
    raises=(PreconditionFailed,),
    compress=True,
    message="Product withdrawn.",
)
def withdraw_product(db: Session, id: int, user: Row, record: Record, if_match: str | None = None) -> Row:
    """Withdraw a product from sale.

    It is not deleted: carts that hold it say so, and `updateProduct` with is_active true brings it back.
    """
    return change(db, id, {"is_active": False}, user=user, record=record, if_match=if_match, action="withdrawn")


@app.post(
    "/api/products/<id:id>/stock",
    auth=ADMIN,
    body=STOCK_CHANGE,
    returns=PRODUCT,
    raises=(InsufficientStock,),
    compress=True,
    sends=("ETag",),
    message="Stock changed.",
)
def change_stock(db: Session, id: int, body: Row, user: Row, record: Record) -> Row:
    """Put pieces into stock, or take them out.

    Changes at the same time add up; none is lost. More than there are cannot be taken out.
    """
    number = body["change"]
    if number == 0:
        raise ValidationError(("change", UNITS))
    done = db.run("products/change_stock", id=id, change=number, largest=LARGEST_COUNT)
    product = existing(db, id)
    in_stock = product["stock_quantity"]
    if not done and number < 0:
        raise InsufficientStock(in_stock, in_stock, field="change")
    if not done:
        raise ValidationError(("change", f"Must be at most {LARGEST_COUNT - in_stock}: {in_stock} are in stock."))
    before = state(product) | {"stock_quantity": in_stock - number}
    record(db, user, [("product", id, "stock_changed", before, state(product))])
    tell(db, (product, "stock_changed"))
    return tagged(product)


def change(db: Session, id: int, sent: Row, *, user: Row, record: Record, if_match: str | None, action: str) -> Row:
    """Change these fields of a product and record it; raise PreconditionFailed if If-Match names another state."""
    if not db.one("products/lock", id=id):
        raise NotFound(NO_PRODUCT)
    before = existing(db, id)
    if if_match is not None and not matches(if_match, before):
        raise PreconditionFailed()
    values = state(before) | sent
    with words_kept(db, [(before, values | {"id": id})]):
        changed = db.run("products/update", id=id, **stored(values))
    if not changed:
        return tagged(before)
    after = existing(db, id)
    record(db, user, [("product", id, action, state(before), state(after))])
    tell(db, (after, action))
    return tagged(after)


def existing(db: Session, id: int) -> Row:
    """Return a product, withdrawn or not; raise NotFound."""
    product = db.one("products/get_any", id=id)
    if product is None:
        raise NotFound(NO_PRODUCT)
    return product


def stored(values: Row) -> Row:
    """Return the values as they are stored: an empty description is null, as it is in an import."""
    return {**values, "description": values["description"] or None}


def tagged(product: Row) -> Row:
    """Give the answer the ETag of this product, the same as of GET; return the product."""
    response.set_header("ETag", etag_of(product))
    return product
