"""Categories: what products are sorted into. Anyone may read."""

from core.app import app
from core.auth import PUBLIC
from core.errors import NotFound
from core.validation import Shape

CATEGORY = Shape(
    "Category",
    id={"type": "integer", "meta": {"example": 5}},
    name={"type": "string", "meta": {"example": "Home & Living"}},
    description={"type": "string", "nullable": True, "meta": {"example": "Furniture, light and textiles."}},
    product_count={"type": "integer", "meta": {"example": 41}},
    created_at={"type": "datetime", "meta": {"example": "2026-01-31T12:00:00Z"}},
)
CACHE = "public, max-age=0, must-revalidate"


@app.get("/api/categories", auth=PUBLIC, cache=CACHE, returns=CATEGORY.many, message="Categories listed.")
def index(db):
    """List all categories by name."""
    return db.many("categories/list")


@app.get("/api/categories/<id:id>", auth=PUBLIC, cache=CACHE, returns=CATEGORY, message="Category found.")
def show(db, id):
    """Show one category."""
    category = db.one("categories/get", id=id)
    if category is None:
        raise NotFound("There is no such category.")
    return category
