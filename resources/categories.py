"""Categories: what products are sorted into. Anyone may read; administrators write."""

from bottle import response

from core.app import app
from core.cache import Cached
from core.contract import fields
from core.contract.shapes import Shape
from core.contract.validation import Body
from core.db.database import Row, Session
from core.errors import Conflict, DuplicateName, NotFound, ValidationError
from core.identity.audit import Record
from core.identity.auth import ADMIN, PUBLIC

CATALOGUE = Cached("products", "categories")
CATEGORY = Shape(
    "Category",
    id={"type": "integer", "meta": {"example": 5}},
    name={"type": "string", "meta": {"example": "Home & Living"}},
    description={"type": "string", "nullable": True, "meta": {"example": "Furniture, light and textiles."}},
    product_count={"type": "integer", "meta": {"example": 41}},
    created_at={"type": "datetime", "meta": {"example": "2026-01-31T12:00:00Z"}},
)

NAME = fields.line(100, "Home & Living")
DESCRIPTION = fields.text("Furniture and light.")
NEW_CATEGORY = Body(name={**NAME, "required": True}, description=DESCRIPTION)
CHANGED_CATEGORY = Body(name=NAME, description=DESCRIPTION)


@app.get("/api/categories", auth=PUBLIC, cache=CATALOGUE, returns=CATEGORY.many, message="Categories listed.")
def list_categories(db: Session) -> list[Row]:
    """List all categories by name."""
    return db.many("categories/list")


@app.get("/api/categories/<id:id>", auth=PUBLIC, cache=CATALOGUE, returns=CATEGORY, message="Category found.")
def get_category(db: Session, id: int) -> Row:
    """Show one category."""
    category = db.one("categories/get", id=id)
    if category is None:
        raise NotFound("There is no such category.")
    return category | db.one("categories/count", id=id)


@app.post(
    "/api/categories",
    auth=ADMIN,
    body=NEW_CATEGORY,
    returns=CATEGORY,
    clashes={"uq_categories_name": DuplicateName},
    status=201,
    message="Category added.",
)
def create_category(db: Session, body: Row, user: Row, record: Record) -> Row:
    """Add a category. Names are compared without case and accents."""
    values = {"description": None, **body}
    id = db.add("categories/add", **values)
    record(db, user, [("category", id, "created", None, values)])
    response.set_header("Location", f"/api/categories/{id}")
    return get_category(db, id)


@app.put(
    "/api/categories/<id:id>",
    auth=ADMIN,
    body=CHANGED_CATEGORY,
    returns=CATEGORY,
    clashes={"uq_categories_name": DuplicateName},
    message="Category changed.",
)
def update_category(db: Session, id: int, body: Row, user: Row, record: Record) -> Row:
    """Change name or description of a category."""
    if not body:
        raise ValidationError(("name", "Send at least one of name and description."))
    before = locked(db, id)
    after = before | body
    if db.run("categories/update", id=id, **after):
        record(db, user, [("category", id, "changed", before, after)])
    return get_category(db, id)


@app.delete("/api/categories/<id:id>", auth=ADMIN, raises=(Conflict,), message="Category deleted.")
def delete_category(db: Session, id: int, user: Row, record: Record) -> None:
    """Delete a category that has no products."""
    before = locked(db, id)
    if db.one("categories/a_product", id=id):
        raise Conflict(
            "This category still has products, on sale or withdrawn. Move them elsewhere first, then delete it."
        )
    db.run("categories/remove", id=id)
    record(db, user, [("category", id, "deleted", before, None)])


def locked(db: Session, id: int) -> Row:
    """Lock a category; return its name and description; raise NotFound."""
    category = db.one("categories/lock", id=id)
    if category is None:
        raise NotFound("There is no such category.")
    return {"name": category["name"], "description": category["description"]}
