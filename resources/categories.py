"""Categories: what products are sorted into. Anyone may read; administrators write."""

from bottle import response

from core.app import app
from core.cache import Cached
from core.contract import fields
from core.contract.forms import Problem
from core.contract.shapes import Shape, described, field
from core.contract.validation import Body, Changes
from core.db.database import Row, Session
from core.errors import Conflict, DuplicateName, NotFound
from core.identity.audit import Record
from core.identity.auth import ADMIN, PUBLIC
from core.json_text import dump

CATALOGUE = Cached("products", "categories")
CATEGORY = Shape(
    "Category",
    id=field("integer", "The category's number, as products and addresses name it.", 5),
    name=field("string", "What the category is called.", "Home & Living"),
    description=field("string", "What is in it, or null.", "Furniture, light and textiles.", nullable=True),
    product_count=field("integer", "How many of its products are on sale.", 41),
    created_at=field("datetime", "When it was added.", "2026-01-31T12:00:00Z"),
)
DELETED = Shape("DeletedCategory", deleted=field("integer", "The number of the category that is gone.", 5))

NAME = described(fields.line(100, "Home & Living"), "What the category is called: no other one may be called the same.")
DESCRIPTION = described(fields.text("Furniture and light."), "What is in it, on one line or several; null for nothing.")
NEW_CATEGORY = Body(name={**NAME, "required": True}, description=DESCRIPTION)
CHANGED_CATEGORY = Changes(name=NAME, description=DESCRIPTION)


@app.get("/api/categories", auth=PUBLIC, cache=CATALOGUE, returns=CATEGORY.many, message="Categories listed.")
def list_categories(db: Session) -> list[Row]:
    """List all categories by name.

    They come on one page, each with the number of its products on sale.
    """
    return db.many("categories/list")


@app.get("/api/categories/<id:id>", auth=PUBLIC, cache=CATALOGUE, returns=CATEGORY, message="Category found.")
def get_category(db: Session, id: int) -> Row:
    """Show one category.

    Its products are what `listProducts` gives with this category_id.
    """
    category = db.one("categories/get", id=id)
    if category is None:
        raise NotFound("There is no such category.")
    return category | db.one("categories/count", id=id)


def problems_of_new(db: Session, body: Row) -> list[Problem]:
    """Return what stands against a new category."""
    return problems_of(db, body, None)


def problems_of_change(db: Session, id: int, body: Row) -> list[Problem]:
    """Return what stands against these new fields of a category."""
    return problems_of(db, body, id)


def problems_of(db: Session, body: Row, id: int | None) -> list[Problem]:
    """Return what stands against these fields of the category with this id, or of a new one."""
    found = db.many("categories/named", names=dump([body["name"]]).decode()) if "name" in body else []
    return [DuplicateName for category in found if category["id"] != id]


@app.post(
    "/api/categories",
    auth=ADMIN,
    body=NEW_CATEGORY,
    checks=problems_of_new,
    returns=CATEGORY,
    clashes={"uq_categories_name": DuplicateName},
    status=201,
    compress=True,
    sends=("Location",),
    message="Category added.",
)
def create_category(db: Session, body: Row, user: Row, record: Record) -> Row:
    """Add a category.

    Its name must be new; names are compared without case and accents.
    """
    values = {"description": None, **body}
    id = db.add("categories/add", **values)
    record(db, user, [("category", id, "created", None, values)])
    response.set_header("Location", f"/api/categories/{id}")
    return get_category(db, id)


@app.put(
    "/api/categories/<id:id>",
    auth=ADMIN,
    body=CHANGED_CATEGORY,
    checks=problems_of_change,
    returns=CATEGORY,
    clashes={"uq_categories_name": DuplicateName},
    compress=True,
    message="Category changed.",
)
def update_category(db: Session, id: int, body: Row, user: Row, record: Record) -> Row:
    """Change name or description of a category.

    What is not sent stays as it is.
    """
    before = locked(db, id)
    after = before | body
    if db.run("categories/update", id=id, **after):
        record(db, user, [("category", id, "changed", before, after)])
    return get_category(db, id)


@app.delete("/api/categories/<id:id>", auth=ADMIN, raises=(Conflict,), returns=DELETED, message="Category deleted.")
def delete_category(db: Session, id: int, user: Row, record: Record) -> Row:
    """Delete a category that has no products.

    Withdrawn products count too: move them to another category first.
    """
    before = locked(db, id)
    if db.one("categories/a_product", id=id):
        raise Conflict(
            "This category still has products, on sale or withdrawn. Move them elsewhere first, then delete it."
        )
    db.run("categories/remove", id=id)
    record(db, user, [("category", id, "deleted", before, None)])
    return {"deleted": id}


def locked(db: Session, id: int) -> Row:
    """Lock a category; return its name and description; raise NotFound."""
    category = db.one("categories/lock", id=id)
    if category is None:
        raise NotFound("There is no such category.")
    return {"name": category["name"], "description": category["description"]}
