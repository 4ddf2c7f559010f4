"""The audit trail: who changed what in the catalogue, and when. For administrators."""

import json
from decimal import Decimal

from core.app import LARGEST_ID, app
from core.contract.pagination import NUMBERS, numbers_of
from core.contract.shapes import Shape
from core.contract.validation import Query
from core.db.database import Row, Session
from core.identity.auth import ADMIN

ENTITIES = ["product", "category"]
ACTIONS = ["created", "changed", "withdrawn", "stock_changed", "deleted"]
LIST = Query(
    entity={"type": "string", "allowed": ENTITIES},
    entity_id={"type": "integer", "min": 1, "max": LARGEST_ID},
    page={"type": "integer", "min": 1, "default": 1},
    per_page={"type": "integer", "min": 1, "max": 100, "default": 20},
)
STATE = Shape(  # of a product; of a category name and description
    "AuditState",
    name={"type": "string", "meta": {"example": "Desk Lamp"}},
    description={"type": "string", "nullable": True, "meta": {"example": "Warm or cool light."}},
    price={"type": "number", "required": False, "meta": {"example": 19.9}},
    image_url={
        "type": "string",
        "nullable": True,
        "required": False,
        "meta": {"example": "/images/v1/desk-lamp-l523-forest-green.svg"},
    },
    category_id={"type": "integer", "nullable": True, "required": False, "meta": {"example": 5}},
    stock_quantity={"type": "integer", "required": False, "meta": {"example": 12}},
    is_active={"type": "boolean", "required": False, "meta": {"example": True}},
)
ENTRY = Shape(
    "AuditEntry",
    id={"type": "integer", "meta": {"example": 77}},
    created_at={"type": "datetime", "meta": {"example": "2026-01-31T12:00:00Z"}},
    user_id={"type": "integer", "meta": {"example": 1}},
    user_name={"type": "string", "meta": {"example": "root"}},
    entity={"type": "string", "allowed": ENTITIES, "meta": {"example": "product"}},
    entity_id={"type": "integer", "meta": {"example": 2}},
    action={"type": "string", "allowed": ACTIONS, "meta": {"example": "stock_changed"}},
    before={"type": "dict", "shape": STATE, "nullable": True},
    after={"type": "dict", "shape": STATE, "nullable": True},
)
PAGINATION = Shape("AuditPagination", **NUMBERS)
PAGE = Shape("AuditPage", items={"type": "list", "items": ENTRY}, pagination={"type": "dict", "shape": PAGINATION})


@app.get("/api/audit", auth=ADMIN, query=LIST, returns=PAGE, message="Audit trail listed.")
def list_audit_entries(db: Session, query: Row) -> Row:
    """List what was done to products and categories, the newest first.

    An entry stays when the account that did it is deleted: user_name is what it was called then.
    """
    filters = {"entity": query.get("entity"), "entity_id": query.get("entity_id")}
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
