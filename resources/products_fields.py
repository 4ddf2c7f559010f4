"""The fields of a product: what an administrator may set, as JSON and as a table, and what a client gets."""

from typing import Any

from core.cache import Cached
from core.contract import fields
from core.contract.shapes import Shape, described, field
from core.db.database import Row, Session
from core.json_text import dump

CATALOGUE = Cached("products", "categories")
NO_CATEGORY = "There is no such category. GET /api/categories lists them."
FIELDS: dict[str, dict[str, Any]] = {  # all that can be set
    "name": described(fields.line(255, "Desk Lamp"), "What the product is called: one line of text."),
    "description": described(
        fields.text("Warm or cool light."), "More about the product, on one line or several; null for nothing."
    ),
    "price": described(fields.AMOUNT, "What one piece costs, in the shop's currency, with at most two decimals."),
    "image_url": described(
        fields.address(500, "/images/v1/desk-lamp-l523-forest-green.svg"),
        "A picture: an http(s) address, or a path on this host that begins with `/`; null for none.",
    ),
    "category_id": described(fields.ID, "The category that the product belongs to; null for none.", nullable=True),
    "stock_quantity": described(fields.COUNT, "How many pieces are in stock."),
    "is_active": described(fields.FLAG, "Whether the product is on sale. Only administrators see one that is not."),
}
REQUIRED = ("name", "price")  # of a new product
DEFAULTS: Row = {"description": None, "image_url": None, "category_id": None, "stock_quantity": 0, "is_active": True}
PRODUCT = Shape(
    "Product",
    id=field("integer", "The product's number, as carts and addresses name it.", 2),
    name=field("string", "What the product is called.", "Desk Lamp"),
    description=field("string", "More about the product, or null.", "Warm or cool light.", nullable=True),
    price=field("number", "What one piece costs, in the shop's currency.", 19.9),
    image_url=field(
        "string",
        "A picture: an http(s) address, or a path to join to the API's address; null for none.",
        "/images/v1/desk-lamp-l523-forest-green.svg",
        nullable=True,
    ),
    category_id=field("integer", "The category that it belongs to, or null.", 5, nullable=True),
    category_name=field("string", "The name of that category, or null.", "Home & Living", nullable=True),
    stock_quantity=field("integer", "How many pieces are in stock; 0 is sold out.", 12),
    is_active=field("boolean", "Whether it is on sale; others than administrators see only what is.", True),
    created_at=field("datetime", "When it was added to the catalogue.", "2026-01-31T12:00:00Z"),
    updated_at=field("datetime", "When one of its fields was changed last.", "2026-01-31T12:00:00Z"),
)


def lock_categories(db: Session, ids: list[int]) -> set[int]:
    """Lock these categories, so that nobody deletes one meanwhile; return the ids of those that exist."""
    return {row["id"] for row in db.many("categories/lock_many", ids=dump(ids).decode())}


def state(product: Row) -> Row:
    """Return the fields of a product that can be set: also what the audit trail stores of it."""
    return {name: product[name] for name in FIELDS}
