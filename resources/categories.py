"""Categories: what products are sorted into. Anyone may read."""

from core.app import app
from core.auth import PUBLIC
from core.errors import NotFound

CACHE = "public, max-age=0, must-revalidate"


@app.get("/api/categories", auth=PUBLIC, cache=CACHE, message="Categories listed.")
def index(db):
    """List all categories by name."""
    return db.many("categories/list")


@app.get("/api/categories/<id:id>", auth=PUBLIC, cache=CACHE, message="Category found.")
def show(db, id):
    """Show one category."""
    category = db.one("categories/get", id=id)
    if category is None:
        raise NotFound("There is no such category.")
    return category
