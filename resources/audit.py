"""The audit trail: which administrator changed what in the catalogue and on orders, and when. For administrators."""

import json
from decimal import Decimal

from core.app import LARGEST_ID, app
from core.contract.pagination import NUMBERS, numbers_of, page_size
from core.contract.shapes import Shape, field
from core.contract.validation import Query
from core.db.database import Row, Session
from core.identity.auth import ADMIN

ENTITIES = ["product", "category", "order"]
ACTIONS = [
    *("created", "changed", "withdrawn", "stock_changed", "deleted"),
    *("captured", "fulfilled", "canceled", "refunded"),  # of orders
]
LIST = Query(
    entity={"type": "string", "allowed": ENTITIES, "meta": {"description": "Only changes of things of this kind."}},
    entity_id={
        "type": "integer",
        "min": 1,
        "max": LARGEST_ID,
        "meta": {"description": "Only changes of the thing with this number; best together with entity."},
    },
    order={
        "type": "string",
        "maxlength": 11,
        "regex": r"[0-9A-Z]{5}-[0-9A-Z]{5}\Z",
        "coerce": str.upper,
        "meta": {
            "issue": "Must be the number of an order, such as K7Q2M-4XH9P.",
            "description": "Only changes of the order with this number.",
            "example": "K7Q2M-4XH9P",
        },
    },
    page={"type": "integer", "min": 1, "default": 1, "meta": {"description": "Which page; the first one is 1."}},
    per_page=page_size("entries"),
)
STATE = Shape(  # of a product; of a category name and description; of an order what stands last, and no person
    "AuditState",
    name=field("string", "The name of the product or category.", "Desk Lamp", required=False),
    description=field("string", "Its description, or null.", "Warm or cool light.", nullable=True, required=False),
    price=field("number", "Of a product: what one piece cost.", 19.9, required=False),
    image_url=field(
        "string",
        "Of a product: its picture, or null.",
        "/images/v1/desk-lamp-l523-forest-green.svg",
        nullable=True,
        required=False,
    ),
    category_id=field("integer", "Of a product: its category, or null.", 5, nullable=True, required=False),
    stock_quantity=field("integer", "Of a product: how many pieces were in stock.", 12, required=False),
    is_active=field("boolean", "Of a product: whether it was on sale.", True, required=False),
    number=field("string", "Of an order: its number.", "K7Q2M-4XH9P", required=False),
    status=field("string", "Of an order: where the goods were.", "placed", required=False),
    payment_status=field("string", "Of an order: where the money was.", "paid", required=False),
    paid=field("number", "Of an order: what was paid.", 59.7, required=False),
    refunded=field("number", "Of an order: what was given back of it.", 0, required=False),
)
ENTRY = Shape(
    "AuditEntry",
    id=field("integer", "The entry's number; later entries have higher ones.", 77),
    created_at=field("datetime", "When it was done.", "2026-01-31T12:00:00Z"),
    user_id=field("integer", "The account that did it; it may be deleted by now.", 1),
    user_name=field("string", "What that account was called then.", "root"),
    entity=field("string", "The kind of thing that was changed.", "product", allowed=ENTITIES),
    entity_id=field("integer", "The number of the product or category; of an order its id.", 2),
    action=field("string", "What was done to it.", "stock_changed", allowed=ACTIONS),
    before=field("dict", "What it was before; null where it was created.", shape=STATE, nullable=True),
    after=field("dict", "What it was afterwards; null where it was deleted.", shape=STATE, nullable=True),
)
PAGINATION = Shape("AuditPagination", **NUMBERS)
PAGE = Shape(
    "AuditPage",
    items=field("list", "The entries of this page, the newest first.", items=ENTRY),
    pagination=field("dict", "Where in the whole trail this page is.", shape=PAGINATION),
)


@app.get("/api/audit", auth=ADMIN, query=LIST, returns=PAGE, compress=True, message="Audit trail listed.")
def list_audit_entries(db: Session, query: Row) -> Row:
    """List what was done to products, categories and orders, the newest first.

    An entry stays when the account that did it is deleted: user_name is what it was called then.
    """
    filters = {"entity": query.get("entity"), "entity_id": query.get("entity_id"), "number": query.get("order")}
    page, per_page = query["page"], query["per_page"]
    total = db.one("audit/count", **filters)["total"]
    offset = (page - 1) * per_page
    rows = db.many("audit/list", **filters, limit=per_page, offset=offset) if offset < total else []
    return {"items": [entry(row) for row in rows], "pagination": numbers_of(page, per_page, total)}


def entry(row: Row) -> Row:
    """Return a row of audit/list as the contract has it."""
    before, after = (row.pop(name) for name in ("before_state", "after_state"))
    return {**row, "before": _state(before), "after": _state(after)}


def _state(text: str | None) -> Row | None:
    return None if text is None else json.loads(text, parse_float=Decimal)
