"""The fields of a product: what an administrator may set, as JSON and as a table, and what a client gets."""

from typing import Any

from core.cache import Cached
from core.contract import fields
from core.contract.shapes import Shape
from core.db.database import Row, Session
from core.json_text import dump

CATALOGUE = Cached("products", "categories")
NO_CATEGORY = "There is no such category. GET /api/categories lists them."
FIELDS: dict[str, dict[str, Any]] = {  # all that can be set
    "name": fields.line(255, "Desk Lamp"),
    "description": fields.text("Warm or cool light."),
    "price": fields.AMOUNT,
    "image_url": fields.address(500, "/images/v1/desk-lamp-l523-forest-green.svg"),
    "category_id": {**fields.ID, "nullable": True},
    "stock_quantity": fields.COUNT,
    "is_active": fields.FLAG,
}
REQUIRED = ("name", "price")  # of a new product
DEFAULTS: Row = {"description": None, "image_url": None, "category_id": None, "stock_quantity": 0, "is_active": True}
PRODUCT = Shape(
    "Product",
    id={"type": "integer", "meta": {"example": 2}},
    name={"type": "string", "meta": {"example": "Desk Lamp"}},
    description={"type": "string", "nullable": True, "meta": {"example": "Warm or cool light."}},
    price={"type": "number", "meta": {"example": 19.9}},
    image_url={
        "type": "string",
        "nullable": True,
        "meta": {
            "description": "An http(s) URL, or a path: join it to the API's address. Null: there is none.",
            "example": "/images/v1/desk-lamp-l523-forest-green.svg",
        },
    },
    category_id={"type": "integer", "nullable": True, "meta": {"example": 5}},
    category_name={"type": "string", "nullable": True, "meta": {"example": "Home & Living"}},
    stock_quantity={"type": "integer", "meta": {"example": 12}},
    is_active={"type": "boolean", "meta": {"example": True}},
    created_at={"type": "datetime", "meta": {"example": "2026-01-31T12:00:00Z"}},
    updated_at={"type": "datetime", "meta": {"example": "2026-01-31T12:00:00Z"}},
)


def lock_categories(db: Session, ids: list[int]) -> set[int]:
    """Lock these categories, so that nobody deletes one meanwhile; return the ids of those that exist."""
    return {row["id"] for row in db.many("categories/lock_many", ids=dump(ids).decode())}


def state(product: Row) -> Row:
    """Return the fields of a product that can be set: also what the audit trail stores of it."""
    return {name: product[name] for name in FIELDS}
