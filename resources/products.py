"""Products: what the shop sells. Anyone may read; administrators write."""

from decimal import Decimal

from bottle import response

from core.app import app
from core.cache import Cached
from core.contract import fields
from core.contract.etag import etag_of, matches
from core.contract.fields import LARGEST_COUNT
from core.contract.pagination import BY_RELEVANCE, KEYS, LONGEST_CURSOR, NUMBERS, last_of, pagination_of, place_of
from core.contract.shapes import Shape
from core.contract.validation import Body, Headers, Query
from core.errors import InsufficientStock, NotFound, PreconditionFailed, ValidationError
from core.identity.auth import ADMIN, PUBLIC
from core.identity.budgets import ENTRIES, Budget, Priced
from core.json_text import dump
from resources.products_search import RELEVANCE, Found, Search, SearchStatements

CATALOGUE = Cached("products", "categories")
SORTS = {  # sort=… → the statement that lists, and the column of the order, whose last value a cursor keeps
    "newest": ("products/list_newest", "created_at"),
    "oldest": ("products/list_oldest", "created_at"),
    "price": ("products/list_price", "price"),
    "-price": ("products/list_price_desc", "price"),
    "name": ("products/list_name", "name"),
    "-name": ("products/list_name_desc", "name"),
}
COLUMNS = {**{sort: column for sort, (_, column) in SORTS.items()}, RELEVANCE: BY_RELEVANCE}

AMOUNT = {"type": "decimal", "min": 0, "max": Decimal("99999999.99")}
LIST = Query(
    category_id={"type": "integer", "min": 1},
    min_price=AMOUNT,
    max_price=AMOUNT,
    search={"type": "string", "minlength": 1, "maxlength": 100},
    page={"type": "integer", "min": 1},
    per_page={"type": "integer", "min": 1, "max": 100, "default": 20},
    sort={"type": "string", "allowed": [*SORTS, RELEVANCE]},
    in_stock={"type": "boolean"},
    after={"type": "string", "maxlength": LONGEST_CURSOR, "meta": {"issue": "Must be the 'next' of an earlier page."}},
    facets={"type": "boolean", "default": False},
)
PRODUCT = Shape(
    "Product",
    id={"type": "integer", "meta": {"example": 2}},
    name={"type": "string", "meta": {"example": "Desk Lamp"}},
    description={"type": "string", "nullable": True, "meta": {"example": "Warm or cool light."}},
    price={"type": "number", "meta": {"example": 19.9}},
    image_url={"type": "string", "nullable": True, "meta": {"example": "/images/desk-lamp.jpg"}},
    category_id={"type": "integer", "nullable": True, "meta": {"example": 5}},
    category_name={"type": "string", "nullable": True, "meta": {"example": "Home & Living"}},
    stock_quantity={"type": "integer", "meta": {"example": 12}},
    is_active={"type": "boolean", "meta": {"example": True}},
    created_at={"type": "datetime", "meta": {"example": "2026-01-31T12:00:00Z"}},
    updated_at={"type": "datetime", "meta": {"example": "2026-01-31T12:00:00Z"}},
)
PAGINATION = Shape(
    "Pagination",
    **NUMBERS,
    next={"type": "string", "nullable": True, "meta": {"example": "WyJuZXdlc3QiLCAyLCAiMjAyNiJd"}},
    total_is_exact={"type": "boolean", "required": False, "meta": {"example": False}},
)
FACET = Shape(
    "CategoryFacet",
    category_id={"type": "integer", "nullable": True, "meta": {"example": 5}},
    category_name={"type": "string", "nullable": True, "meta": {"example": "Home & Living"}},
    count={"type": "integer", "meta": {"example": 41}},
)
RANGE = Shape(
    "PriceRange",
    min={"type": "number", "nullable": True, "meta": {"example": 9.5}},
    max={"type": "number", "nullable": True, "meta": {"example": 899}},
)
FACETS = Shape("Facets", categories={"type": "list", "items": FACET}, price={"type": "dict", "shape": RANGE})
PAGE = Shape(
    "ProductPage",
    items={"type": "list", "items": PRODUCT},
    pagination={"type": "dict", "shape": PAGINATION},
    facets={"type": "dict", "shape": FACETS, "required": False},
)
SORTED = ("products/search_sorted", ("sort", "after_id", "after_time", "after_price"))
BY_NAME = ("products/search_by_name", ("sort", "after_id", "after_name"))
READ_BY = ("sort", "after_id", "after_time", "after_price", "after_name", "newest_id")
SEARCH = SearchStatements(
    bounds="products/bounds",
    estimate="products/word_estimate",
    lists=SORTS,
    index={
        RELEVANCE: ("products/search", ("newest_id",)),
        **dict.fromkeys(("newest", "oldest", "price", "-price"), SORTED),
        **dict.fromkeys(("name", "-name"), BY_NAME),
    },
    index_count="products/search_count",
    index_facets="products/search_facets",
    read=("products/read", READ_BY),
    read_count="products/read_count",
    read_facets="products/read_facets",
)

FIELDS = {  # resources/products_csv.py has the same for a table
    "name": fields.line(255, "Desk Lamp"),
    "description": fields.text("Warm or cool light."),
    "price": fields.AMOUNT,
    "image_url": fields.address(500, "/images/desk-lamp.jpg"),
    "category_id": {**fields.ID, "nullable": True},
    "stock_quantity": fields.COUNT,
    "is_active": fields.FLAG,
}
NEW = {
    "name": {"required": True},
    "price": {"required": True},
    "stock_quantity": {"default": 0},
    "is_active": {"default": True},
}
NEW_PRODUCT = Body(**{name: {**rules, **NEW.get(name, {})} for name, rules in FIELDS.items()})
CHANGED_PRODUCT = Body(**FIELDS)
UNITS = {"issue": "Must be a whole number, not 0: how many more, or with a minus how many fewer.", "example": -3}
STOCK_CHANGE = Body(
    change={"type": "integer", "required": True, "min": -LARGEST_COUNT, "max": LARGEST_COUNT, "meta": UNITS}
)
IF_MATCH = Headers(
    **{
        "If-Match": {
            "type": "string",
            "maxlength": 1000,
            "meta": {"issue": "The ETag of the product that you changed."},
        }
    }
)


@app.get(
    "/api/products",
    auth=PUBLIC,
    query=LIST,
    budget=Budget("search", "600000/minute"),  # rows: the database's time of some 4 s
    cache=CATALOGUE,
    returns=PAGE,
    message="Products listed.",
)
def list_products(db, query, spend):
    """List products on sale: filtered, searched, sorted and paged."""
    filters = {name: query.get(name) for name in ("category_id", "min_price", "max_price", "in_stock")}
    least, most = filters["min_price"], filters["max_price"]
    if least is not None and most is not None and least > most:
        raise ValidationError(("min_price", "Must not be greater than max_price."))
    priced = Priced(db, spend)
    search = Search(query.get("search", ""), priced, SEARCH)
    sort = query.get("sort") or RELEVANCE
    if sort == RELEVANCE and not search.ranks:
        sort = "newest"  # nothing to be relevant to
    place = place_of(query, sort, COLUMNS[sort])
    found = search.page(filters, sort, place) if search.words else _list(priced, filters, sort, place)
    items = [_without(item, "newest_id") for item in found.items] if search.words else found.items
    answer = {"items": items, "pagination": pagination_of(sort, place, found)}
    if query["facets"]:
        rows, statement, parameters = found.facets
        answer["facets"] = _facets(priced.many(rows, statement, **parameters))
    return answer


@app.get("/api/products/<id:id>", auth=PUBLIC, cache=CATALOGUE, returns=PRODUCT, message="Product found.")
def get_product(db, id, user):
    """Show one product on sale; to an administrator also one that is not.

    The token is optional here, and one that is not valid counts as none. What only an administrator sees is not
    stored by any cache.
    """
    response.set_header("Vary", "Authorization")
    if user and user["role"] == "admin":
        response.set_header("Cache-Control", "private, no-store")
        return existing(db, id)
    product = db.one("products/get", id=id)
    if product is None:
        raise NotFound("There is no such product, or it is no longer sold.")
    return product


@app.post(
    "/api/products",
    auth=ADMIN,
    body=NEW_PRODUCT,
    returns=PRODUCT,
    status=201,
    message="Product added to the catalogue.",
)
def create_product(db, body, user, record):
    """Add a product to the catalogue. An empty description is stored as null."""
    values = dict.fromkeys(FIELDS) | body
    lock_category(db, values)
    id = db.add("products/add", **stored(values))
    response.set_header("Location", f"/api/products/{id}")
    product = tagged(existing(db, id))
    record(db, user, [("product", id, "created", None, state(product))])
    return product


@app.put(
    "/api/products/<id:id>",
    auth=ADMIN,
    headers=IF_MATCH,
    body=CHANGED_PRODUCT,
    returns=PRODUCT,
    raises=(PreconditionFailed,),
    message="Product changed.",
)
def update_product(db, id, body, *, user, record, if_match=None):
    """Change the fields that are sent; with If-Match only if nobody was faster."""
    if not body:
        raise ValidationError(("name", f"Send at least one of {', '.join(FIELDS)}."))
    return change(db, id, body, user=user, record=record, if_match=if_match, action="changed")


@app.delete(
    "/api/products/<id:id>",
    auth=ADMIN,
    headers=IF_MATCH,
    returns=PRODUCT,
    raises=(PreconditionFailed,),
    message="Product withdrawn.",
)
def withdraw_product(db, id, user, record, if_match=None):
    """Withdraw a product from sale; carts that hold it say so. PUT with is_active true brings it back."""
    return change(db, id, {"is_active": False}, user=user, record=record, if_match=if_match, action="withdrawn")


@app.post(
    "/api/products/<id:id>/stock",
    auth=ADMIN,
    body=STOCK_CHANGE,
    returns=PRODUCT,
    raises=(InsufficientStock,),
    message="Stock changed.",
)
def change_stock(db, id, body, user, record):
    """Put units into stock, or take them out; simultaneous changes add up."""
    number = body["change"]
    if number == 0:
        raise ValidationError(("change", UNITS["issue"]))
    done = db.run("products/change_stock", id=id, change=number, largest=LARGEST_COUNT)
    product = existing(db, id)
    held = product["stock_quantity"]
    if not done and number < 0:
        raise InsufficientStock(f"Only {held} in stock." if held else "Sold out.", held, "change")
    if not done:
        raise ValidationError(("change", f"Must be at most {LARGEST_COUNT - held}: {held} are in stock."))
    before = state(product) | {"stock_quantity": held - number}
    record(db, user, [("product", id, "stock_changed", before, state(product))])
    return tagged(product)


def change(db, id, sent, *, user, record, if_match, action):
    """Give a product these fields and tell of it; raise PreconditionFailed where If-Match names another state."""
    if not db.one("products/lock", id=id):
        raise NotFound("There is no such product.")
    before = existing(db, id)
    if if_match is not None and not matches(if_match, before):
        raise PreconditionFailed()
    values = state(before) | sent
    if "category_id" in sent:
        lock_category(db, values)
    if not db.run("products/update", id=id, **stored(values)):
        return tagged(before)
    after = existing(db, id)
    record(db, user, [("product", id, action, state(before), state(after))])
    return tagged(after)


def existing(db, id):
    """Return a product, withdrawn or not; raise NotFound."""
    product = db.one("products/get_any", id=id)
    if product is None:
        raise NotFound("There is no such product.")
    return product


def lock_category(db, values):
    """Make sure that the category is there and stays until the end of the transaction; raise ValidationError."""
    id = values["category_id"]
    if id is not None and not db.many("categories/lock_many", ids=dump([id]).decode()):
        raise ValidationError(("category_id", "There is no such category. GET /api/categories lists them."))


def state(product):
    """Return what an administrator may change of a product."""
    return {name: product[name] for name in FIELDS}


def stored(values):
    """Return the values as they are stored: an empty description is none, as it would come out of a table."""
    return {**values, "description": values["description"] or None}


def tagged(product):
    """Give the answer the ETag that GET has for this product; return the product."""
    response.set_header("ETag", etag_of(product))
    return product


def _list(priced, filters, sort, place):
    """Return the page as a search Found. Its cost: the entries of an index that are counted, or skipped."""
    entries = 0
    if filters["category_id"] is None and any(value is not None for value in filters.values()):
        entries = priced.one(0, "products/bounds")["products_at_most"]  # a count of few, or the one of all, is cheap
    total = priced.one(entries // ENTRIES, "products/count", **filters)["total"]
    (statement, column), items = SORTS[sort], []
    if place["offset"] < total:  # do not walk to the end of the index to find nothing
        after = {"after_id": place["after_id"], "after_value": place[KEYS[column]]}
        bounds = {"limit": place["per_page"] + 1, "offset": place["offset"]}
        items = priced.many(place["offset"] // ENTRIES, statement, **filters, **after, **bounds)
    given = items[: place["per_page"]]
    behind = last_of(given[-1], column) if len(items) > len(given) else None
    return Found(given, behind, total, True, (total // ENTRIES, "products/facets", filters))


def _facets(rows):
    counted = [
        {"category_id": row["category_id"], "category_name": row["category_name"], "count": row["products"]}
        for row in rows
    ]
    return {
        "categories": counted,
        "price": {
            "min": min((row["min_price"] for row in rows), default=None),
            "max": max((row["max_price"] for row in rows), default=None),
        },
    }


def _without(row, *names):
    return {name: value for name, value in row.items() if name not in names}
