"""The orders of lists of products, and what a cursor of each order contains."""

from typing import Any, NamedTuple

from core.contract import pagination
from core.contract.pagination import Key, Place, is_count, is_like, is_moment
from core.db.database import Row

RELEVANCE = "relevance"
AFTER_ID = Key("after_id", is_count)
AFTER_TIME = Key("after_time", is_moment)
AFTER_PRICE = Key("after_price", is_like(r"[0-9]{1,8}\.[0-9]{2}"))
AFTER_NAME = Key("after_name", is_like(r"[^\x00\ud800-\udfff]{1,255}"))


class Order(NamedTuple):
    """An order: the statement that lists products in it, its column, and the column's value in a cursor."""

    statement: str
    column: str
    after: Key


ORDERS = {
    "newest": Order("products/list_newest", "created_at", AFTER_TIME),
    "oldest": Order("products/list_oldest", "created_at", AFTER_TIME),
    "price": Order("products/list_price", "price", AFTER_PRICE),
    "-price": Order("products/list_price_desc", "price", AFTER_PRICE),
    "name": Order("products/list_name", "name", AFTER_NAME),
    "-name": Order("products/list_name_desc", "name", AFTER_NAME),
}
AFTER_RELEVANCE = Key("after_relevance", is_count)
FROM, UNTIL = ("from_time", "from_id"), ("until_time", "until_id")
# By relevance: the last product seen. If the search reads, its hits are ranked window by window: also the last product
# before the window (none before the first), and its own last one (none in the last window). Without a product seen, the
# next window begins.
RANKED = (AFTER_RELEVANCE, AFTER_TIME, AFTER_ID)
POSITION = (*(key.parameter for key in RANKED), *FROM, *UNTIL)


def _none(*names: str) -> tuple[Key, ...]:
    return tuple(Key(name, lambda value: value is None) for name in names)


def _row(time: str, id: str) -> tuple[Key, ...]:
    return Key(time, is_moment), Key(id, is_count)


IN_WINDOW = [(*RANKED, *start, *end) for start in (_none(*FROM), _row(*FROM)) for end in (_none(*UNTIL), _row(*UNTIL))]
NEXT_WINDOW = (*_none(*(key.parameter for key in RANKED)), *_row(*FROM), *_none(*UNTIL))
NOWHERE = dict.fromkeys(("after_id", "after_relevance", "after_time", "after_price", "after_name"))


def place_of(query: Row, sort: str) -> Place:
    """Return where the page begins, as core/contract/pagination.py does, with every parameter of NOWHERE.

    `reads`: whether a search by relevance continues in a window of products that are read, or in the next one.
    """
    if sort != RELEVANCE:
        return NOWHERE | pagination.place_of(query, sort, [(ORDERS[sort].after, AFTER_ID)]) | {"reads": False}
    place = pagination.place_of(query, sort, [RANKED, *IN_WINDOW, NEXT_WINDOW])
    return NOWHERE | place | {"reads": "from_id" in place}


def place_behind(position: tuple[Any, ...], sort: str, place: Place, shown: int) -> Place:
    """Return where the next page begins: at this position, as a cursor gives it, after so many rows on this page."""
    names = POSITION if sort == RELEVANCE else (ORDERS[sort].after.parameter, "after_id")
    at = dict(zip(names, position, strict=True))
    return place | NOWHERE | at | {"offset": 0, "shown": place["shown"] + shown, "reads": sort == RELEVANCE}


def behind(row: Row, order: Order) -> tuple[Any, ...]:
    """Return the position behind a row, for the cursor of the next page."""
    return str(row[order.column]), row["id"]
