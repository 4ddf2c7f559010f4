"""Products: what the shop sells. Anyone may read."""

import base64
import binascii
import json
import math
import re
import unicodedata
from decimal import Decimal

from bottle import request, response

from core.app import app
from core.auth import PUBLIC
from core.errors import NotFound, ValidationError
from core.validation import Query, Shape

SORTS = {  # sort=… → the statement that lists, and the column of the order, whose last value a cursor keeps
    "newest": ("products/list_newest", "created_at"),
    "oldest": ("products/list_oldest", "created_at"),
    "price": ("products/list_price", "price"),
    "-price": ("products/list_price_desc", "price"),
    "name": ("products/list_name", "name"),
    "-name": ("products/list_name_desc", "name"),
}
RELEVANCE = "relevance"
COLUMNS = {**{sort: column for sort, (_, column) in SORTS.items()}, RELEVANCE: "newest_id"}
KEYS = {"created_at": "after_time", "price": "after_price", "name": "after_name", "newest_id": "newest_id"}
VALUES = {  # what a cursor may hold for a column
    "created_at": re.compile(
        r"20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]) ([01][0-9]|2[0-3])(:[0-5][0-9]){2}\Z"
    ),
    "price": re.compile(r"[0-9]{1,8}\.[0-9]{2}\Z"),
    "name": re.compile(r"[^\x00]{1,255}\Z", re.S),
    "newest_id": re.compile(r"[0-9]{1,10}\Z"),
}

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
    after={"type": "string", "maxlength": 2000, "meta": {"issue": "Must be the 'next' of an earlier page."}},
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
    page={"type": "integer", "meta": {"example": 1}},
    per_page={"type": "integer", "meta": {"example": 20}},
    total={"type": "integer", "meta": {"example": 483}},
    pages={"type": "integer", "meta": {"example": 25}},
    has_next={"type": "boolean", "meta": {"example": True}},
    has_prev={"type": "boolean", "meta": {"example": False}},
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
CACHE = "public, max-age=0, must-revalidate"

SHORTEST_INDEXED = 3  # characters; innodb_ft_min_token_size, which can only be set when a server starts
MOST_WORDS = 16  # a hundred characters hold 25 words; each one more costs a look-up in the index
NEWEST_READ = 10_000  # products that a search of short words alone reads through


@app.get("/api/products", auth=PUBLIC, query=LIST, cache=CACHE, returns=PAGE, message="Products listed.")
def index(db, query):
    """List products on sale: filtered, searched, sorted and paged."""
    filters = {name: query.get(name) for name in ("category_id", "min_price", "max_price", "in_stock")}
    least, most = filters["min_price"], filters["max_price"]
    if least is not None and most is not None and least > most:
        raise ValidationError(("min_price", "Must not be greater than max_price."))
    found = Search(query.get("search", ""))
    sort = query.get("sort") or (RELEVANCE if found.by_index else "newest")
    if sort == RELEVANCE and not found.by_index:
        sort = "newest"  # nothing to be relevant to
    place = _place(query, sort)
    listing = _search(db, found, filters, sort, place) if found.words else _list(db, filters, sort, place)
    items, total, facets_of = listing
    has_next = len(items) > place["per_page"]
    items = items[: place["per_page"]]
    page = place["page"]
    cursor = _cursor(sort, page + 1, items[-1], place["offset"] + len(items)) if has_next else None
    pagination = {
        "page": page,
        "per_page": place["per_page"],
        "total": total,
        "pages": math.ceil(total / place["per_page"]),
        "has_next": has_next,
        "has_prev": page > 1,
        "next": cursor,
    }
    if found.words and not found.by_index and _more_than_read(db, filters):
        pagination["total_is_exact"] = False
    if cursor:
        response.set_header("Link", f'<{_next_url(cursor)}>; rel="next"')
    answer = {"items": [_without(item, "total", "newest_id") for item in items], "pagination": pagination}
    if query["facets"]:
        answer["facets"] = _facets(db.many(facets_of, **filters, **found.parameters))
    return answer


@app.get("/api/products/<id:id>", auth=PUBLIC, cache=CACHE, returns=PRODUCT, message="Product found.")
def show(db, id):
    """Show one product on sale."""
    product = db.one("products/get", id=id)
    if product is None:
        raise NotFound("There is no such product, or it is no longer sold.")
    return product


class Search:
    """What a person typed, as words: letters, digits and inner underscores; everything else parts words.

    `words` is empty for nothing but punctuation, which searches for nothing. `by_index`: at least one word is long
    enough for the index; then the shorter ones are left out. Otherwise the words are looked for in the text itself.
    """

    def __init__(self, text):
        words = re.findall(r"[^\W_]+(?:_+[^\W_]+)*", unicodedata.normalize("NFC", text))
        words = list(dict.fromkeys(word.lower() for word in words))
        indexed = [word for word in words if len(word) >= SHORTEST_INDEXED][:MOST_WORDS]
        self.by_index = bool(indexed)
        self.words = indexed or words[:3]
        if self.by_index:
            self.parameters = {"words": " ".join(f"+{word}*" for word in indexed)}
        else:
            first, second, third = (*self.words, None, None, None)[:3]
            self.parameters = {"word1": first, "word2": second, "word3": third, "newest": NEWEST_READ}
        if not self.words:
            self.parameters = {}


def _list(db, filters, sort, place):
    total = db.one("products/count", **filters)["total"]
    statement, column = SORTS[sort]
    if place["offset"] >= total:  # do not walk to the end of the index to find nothing
        items = []
    else:
        after = {"after_id": place["after_id"], "after_value": place[KEYS[column]]}
        items = db.many(statement, **filters, **after, limit=place["per_page"] + 1, offset=place["offset"])
    return items, total, "products/facets"


def _search(db, found, filters, sort, place):
    name = "products/search" if found.by_index else "products/short_words"
    after = {key: place[key] for key in ("after_id", "after_time", "after_price", "after_name")}
    if found.by_index:
        after["newest_id"] = place["newest_id"]
    items = db.many(
        name, **filters, **found.parameters, **after, sort=sort, limit=place["per_page"] + 1, offset=place["offset"]
    )
    if items:
        total = items[0]["total"]
    elif place["page"] == 1:
        total = 0
    else:
        total = db.one(f"{name}_count", **filters, **found.parameters)["total"]
    return items, total, f"{name}_facets"


def _more_than_read(db, filters):
    return db.one("products/count", **filters)["total"] > NEWEST_READ


def _place(query, sort):
    """Return where the page begins: by number, or behind the product that the cursor names."""
    place = dict.fromkeys(KEYS.values()) | {"after_id": None, "per_page": query["per_page"], "offset": 0}
    if "after" not in query:
        page = query.get("page", 1)
        return place | {"page": page, "offset": (page - 1) * query["per_page"]}
    if "page" in query:
        raise ValidationError(("page", "Must be left out when 'after' is given."))
    column = COLUMNS[sort]
    try:
        text = query["after"]
        made_for, page, value, id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise ValidationError(("after", sentence_for_after())) from None
    whole = all(type(number) is int and 0 < number < 2**31 for number in (page, id))
    if made_for != sort or not whole or not isinstance(value, str) or not VALUES[column].match(value):
        raise ValidationError(("after", sentence_for_after()))
    if sort == RELEVANCE:  # no column to continue behind: see newest_id in sql/products/search.sql
        return place | {"page": page, "offset": id, "newest_id": int(value)}
    return place | {"page": page, "after_id": id, KEYS[column]: value}


def sentence_for_after():
    """Return what is said of every cursor that is not ours, or not for this order."""
    return "Must be the 'next' of an earlier page with the same sort."


def _cursor(sort, page, last, seen):
    """Return the opaque text that continues behind `last` (the page's last product), or by relevance behind `seen`."""
    parts = [sort, page, str(last[COLUMNS[sort]]), seen if sort == RELEVANCE else last["id"]]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()


def _next_url(cursor):
    """Return this request's own address with the cursor in place of the page number."""
    kept = [part for part in request.query_string.split("&") if part and not part.startswith(("page=", "after="))]
    return f"{request.path}?{'&'.join([*kept, f'after={cursor}'])}"


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
