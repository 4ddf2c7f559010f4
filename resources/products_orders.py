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
# By relevance a page skips by offset, see sql/products/search.sql. If the search reads, the last product before the
# rows to be read follows; none for the newest.
HITS = (Key("newest_id", is_like("[0-9]{1,10}"), int), Key("offset", is_count))
FIRST_READ = (*HITS, Key("after_time", lambda value: value is None), Key("after_id", lambda value: value is None))
NEXT_READ = (*HITS, AFTER_TIME, AFTER_ID)
NOWHERE = dict.fromkeys(("after_id", "after_time", "after_price", "after_name", "newest_id"))


def place_of(query: Row, sort: str) -> Place:
    """Return where the page begins, as core/contract/pagination.py does, with every parameter of NOWHERE.

    `reads`: whether a search by relevance continues by reading. Then `after_…` name the last product before those that
    are read, and `offset` is the number of their hits to skip.
    """
    if sort != RELEVANCE:
        return NOWHERE | pagination.place_of(query, sort, [(ORDERS[sort].after, AFTER_ID)]) | {"reads": False}
    place = pagination.place_of(query, sort, [HITS, FIRST_READ, NEXT_READ])
    return NOWHERE | place | {"reads": "after_id" in place}


def behind(row: Row, order: Order) -> tuple[Any, ...]:
    """Return the position behind a row, for the cursor of the next page."""
    return str(row[order.column]), row["id"]
