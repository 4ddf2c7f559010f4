"""The list of products that are not on sale. For administrators, who find there what they want to bring back."""

from core.app import app
from core.contract.pagination import next_of, next_page, page_size, pages_by_cursor
from core.contract.shapes import Shape, field
from core.contract.validation import Query
from core.db.database import Row, Session
from core.identity.auth import ADMIN
from resources.products_fields import PRODUCT
from resources.products_orders import ORDERS, behind, place_of

NEWEST = "newest"
LIST = Query(
    per_page=page_size("products"),
    after=next_page("The `next` of the page before: the page that follows it."),
)
PAGE = Shape(
    "WithdrawnPage",
    items=field("list", "The products of this page, those first that were added last.", items=PRODUCT),
    pagination=pages_by_cursor("WithdrawnPagination", "products"),
)


@app.get(
    "/api/products/withdrawn",
    auth=ADMIN,
    query=LIST,
    returns=PAGE,
    sends=("Link",),
    compress=True,
    message="Withdrawn products listed.",
)
def list_withdrawn_products(db: Session, query: Row) -> Row:
    """List products that are not on sale, those first that were added last.

    `listProducts` has none of them, for nobody. `updateProduct` with is_active true brings one back.
    """
    place = place_of(query, NEWEST)
    after = {name: place[name] for name in ("after_time", "after_id")}
    rows = db.many("products/list_withdrawn", **after, limit=query["per_page"] + 1)
    items = rows[: query["per_page"]]
    position = behind(items[-1], ORDERS[NEWEST]) if len(rows) > len(items) else None
    following = next_of(NEWEST, place, len(items), position)
    pagination = {"per_page": query["per_page"], "has_next": following is not None, "next": following}
    return {"items": items, "pagination": pagination}
