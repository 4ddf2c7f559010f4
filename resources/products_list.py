"""The list of products: filtered, searched, sorted and paged; with facets."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from core.app import app
from core.contract.pagination import (
    LONGEST_CURSOR,
    MOST_ON_A_PAGE,
    NUMBERS,
    Place,
    numbers_of,
    page_size,
    pagination_of,
)
from core.contract.shapes import Shape, described, field
from core.contract.validation import Query
from core.db.database import Database, Row, Session
from core.errors import ValidationError
from core.identity.auth import PUBLIC
from core.identity.budgets import ENTRIES, Budget, Priced
from resources.products_fields import CATALOGUE, PRODUCT
from resources.products_missed import MissedSearches
from resources.products_orders import ORDERS, RELEVANCE, behind, place_of
from resources.products_search import EVERY, Found, Search
from resources.products_suggest import MEANT, did_you_mean

FEW = 5_000  # products that are sorted sooner than they are found in the order of the list
ONE_OF_SEVERAL = 1_000  # rows that a count of one of several categories is taken to cost, if it is not cached
AMOUNT = {"type": "decimal", "min": 0, "max": Decimal("99999999.99")}
NOTHING = {"per_page": 20, "facets": False, "in_stock": False, "search": ""}  # values that ask for nothing
NO_FILTERS = {"category_ids": EVERY, "in_stock": None, "min_price": None, "max_price": None}
MISSED = MissedSearches()
ALONE = "Must be left out when 'ids' is given."
LIST = Query(
    ids={
        "type": "ids",
        "maxlength": MOST_ON_A_PAGE,
        "meta": {
            "description": "These products in this order, as far as they are on sale, all on one page. Instead of all "
            "other parameters.",
            "example": [3, 1, 2],
        },
    },
    category_id={
        "type": "ids",
        "maxlength": 20,
        "meta": {
            "description": "Only products of these categories; several are separated by commas.",
            "example": [1, 2],
        },
    },
    min_price=described(AMOUNT, "Only what costs this much or more, with at most two decimals."),
    max_price=described(AMOUNT, "Only what costs this much or less, with at most two decimals."),
    search={
        "type": "string",
        "maxlength": 100,
        "coerce": str.strip,
        "meta": {
            "issue": "Must be text of at most 100 characters.",
            "description": "Words that must all occur in the name, the description or the name of the category, as "
            "words or as the beginnings of words. Singular and plural find each other, and two words beside each other "
            "(smart-watch) find the joined one. Blank: no search.",
            "example": "desk lamp",
        },
    },
    page={
        "type": "integer",
        "min": 1,
        "meta": {
            "description": "Which page, from 1; behind the last one they are empty. Far pages cost more than after."
        },
    },
    per_page=page_size("products"),
    sort={
        "type": "string",
        "allowed": [*ORDERS, RELEVANCE],
        "meta": {
            "description": "The order. A minus turns it round. Without it, a search comes by relevance and everything "
            "else the newest first."
        },
    },
    in_stock={
        "type": "boolean",
        "meta": {
            "description": "With true, only what can be bought; false is the same as leaving it out.",
            "example": True,
        },
    },
    after={
        "type": "string",
        "maxlength": LONGEST_CURSOR,
        "meta": {
            "issue": "Must be the 'next' of an earlier page.",
            "description": "The `next` of the page before, with the same sort: the page that follows it, at the same "
            "cost however far. Instead of page.",
        },
    },
    facets={
        "type": "boolean",
        "default": False,
        "meta": {
            "description": "With true, the answer has the counts of categories and the range of prices that could be "
            "chosen instead. A search that reads (words that are common, or too short for the index) counts the newest "
            "products only."
        },
    },
)
PAGINATION = Shape(
    "Pagination",
    **NUMBERS,
    next=field(
        "string",
        "What to send as after for the next page; null on the last one.",
        "WyJuZXdlc3QiLCAyLCAiMjAyNiJd",
        nullable=True,
    ),
    total_is_exact=field(
        "boolean",
        "False where a search finds too many products to count, and total is a lower bound; else left out. Page numbers"
        " then end at total; `next` leads to the last product, over pages that may have fewer than per_page, or none.",
        False,
        required=False,
    ),
)
FACET = Shape(
    "CategoryFacet",
    category_id=field("integer", "The category; null for products without one.", 5, nullable=True),
    category_name=field("string", "What it is called, or null.", "Home & Living", nullable=True),
    count=field("integer", "How many products it has.", 41),
)
RANGE = Shape(
    "PriceRange",
    min=field("number", "The lowest price; null where there is no product.", 9.5, nullable=True),
    max=field("number", "The highest price; null where there is no product.", 899, nullable=True),
)
FACETS = Shape(
    "Facets",
    categories=field("list", "What each category would have: counted without the filter by category.", items=FACET),
    price=field("dict", "Which prices there are: without the filter by price.", shape=RANGE),
)
PAGE = Shape(
    "ProductPage",
    items=field("list", "The products of this page, in the order asked for.", items=PRODUCT),
    pagination=field("dict", "Where in the whole result this page is.", shape=PAGINATION),
    facets=field("dict", "With facets=true: what could be chosen instead.", shape=FACETS, required=False),
    did_you_mean={**MEANT, "required": False},
)


@app.get(
    "/api/products",
    auth=PUBLIC,
    query=LIST,
    bounds={"per_page": MOST_ON_A_PAGE},
    budget=Budget("search", "600000/minute"),  # rows: the database's time of some 4 s
    cache=CATALOGUE,
    returns=PAGE,
    sends=("Link",),
    message="Products listed.",
)
def list_products(db: Session, query: Row, spend: Callable[[int], None], database: Database) -> Row:
    """List products on sale.

    All parameters but ids can be combined: filters, a search, an order, and where the page begins. Ties are broken by
    id, so that from page to page nothing repeats or goes missing.
    """
    if "ids" in query:
        return _these(db, **query)
    filters = {"category_ids": query.get("category_id", EVERY), "in_stock": query.get("in_stock") or None}
    filters |= {name: query.get(name) for name in ("min_price", "max_price")}
    least, most = filters["min_price"], filters["max_price"]
    if least is not None and most is not None and least > most:
        raise ValidationError(("min_price", "Must not be greater than max_price."))
    priced = Priced(db, spend)
    search = Search(query.get("search", ""), priced)
    sort = query.get("sort") or RELEVANCE
    if sort == RELEVANCE and not search.ranks:
        sort = "newest"  # there is nothing to be relevant to
    place = place_of(query, sort)
    found = search.page(filters, sort, place) if search.words else _list(priced, filters, sort, place)
    pagination = pagination_of(sort, place, len(found.items), found.total, exact=found.exact, behind=found.behind)
    answer: Row = {"items": found.items, "pagination": pagination}
    if search.words and not found.total and not found.behind:
        answer["did_you_mean"] = did_you_mean(db, query["search"])
        if filters == NO_FILTERS:
            MISSED.note(database, query["search"])
    if query["facets"]:
        answer["facets"] = _facets(found.facets(), filters["category_ids"])
    return answer


def _these(db: Session, ids: tuple[int, ...], **others: Any) -> Row:
    """Return the products of these ids as one page. Raises ValidationError for others that would change something."""
    if given := [name for name, value in others.items() if value != NOTHING.get(name)]:
        raise ValidationError(*((name, ALONE) for name in given))
    found = {item["id"]: item for item in db.many("products/list_ids", ids=ids)}
    items = [found[id] for id in ids if id in found]
    return {"items": items, "pagination": numbers_of(1, MOST_ON_A_PAGE, len(items)) | {"next": None}}


def _list(priced: Priced, filters: Row, sort: str, place: Place) -> Found:
    """Return the page as a search does. Its cost: the entries of an index that are counted, or skipped."""
    ids = filters["category_ids"]
    others = {name: value for name, value in filters.items() if name != "category_ids"}
    several, filtered = len(ids) > 1, any(value is not None for value in others.values())
    products = priced.one(0, "products/bounds")["products_at_most"] if several or filtered else 0
    cost = products // ENTRIES if filtered else 0  # without filters, counts are few and cached
    # Category by category: of one it is cheap, and people who choose one more need one count more.
    each = max(cost // len(ids), ONE_OF_SEVERAL) if several else cost if ids == EVERY else 0
    counts = [priced.one(each, "products/count", category_id=id or None, **others) for id in ids]
    total = sum(count["total"] for count in counts)
    order = ORDERS[sort]
    items = []
    if place["offset"] < total:  # do not walk to the end of the index to find nothing
        in_order = several and total >= FEW
        passed = place["offset"] * products // total if in_order else place["offset"]
        after = {"after_id": place["after_id"], "after_value": place[order.after.parameter]}
        rest = {**after, "in_order": in_order or None, "limit": place["per_page"] + 1, "offset": place["offset"]}
        items = priced.many(passed // ENTRIES, order.statement, **filters, **rest)
    given = items[: place["per_page"]]
    continues = behind(given[-1], order) if len(items) > len(given) else None
    return Found(given, continues, total, True, lambda: priced.many(cost, "products/facets", **others))


def _facets(rows: list[Row], category_ids: tuple[int, ...]) -> Row:
    """Return what could be chosen instead: all categories, and the prices in the chosen ones."""
    chosen = [row for row in rows if category_ids == EVERY or row["category_id"] in category_ids]
    return {
        "categories": [
            {"category_id": row["category_id"], "category_name": row["category_name"], "count": row["products"]}
            for row in rows
            if row["products"]
        ],
        "price": {
            "min": min((row["min_price"] for row in chosen), default=None),
            "max": max((row["max_price"] for row in chosen), default=None),
        },
    }
