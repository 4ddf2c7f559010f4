"""Lists of orders: one's own, and all of them for administrators."""

import functools
from typing import Any

from core.app import app
from core.contract.coercion import to_moment
from core.contract.email_address import LONGEST_EMAIL, address_of
from core.contract.pagination import (
    Key,
    is_count,
    is_moment,
    next_of,
    next_page,
    page_size,
    pages_by_cursor,
    place_of,
)
from core.contract.shapes import Shape, field
from core.contract.validation import Query
from core.db.database import Row, Session
from core.errors import Forbidden, ValidationError
from core.identity.auth import USER
from resources.orders_rules import PAYMENT_STATUSES, STATUSES, SUMMARY_FIELDS, number_in

NEWEST = "newest"
BEHIND = (Key("after_time", is_moment), Key("after_id", is_count))
LATEST = "9"  # as text, later than any moment
LAST_SECOND = functools.partial(to_moment, end="23:59:59")
MOMENT: dict[str, Any] = {"type": "string", "maxlength": 30}
MOMENT_ISSUE = "Must be a day (2026-01-31) or a moment in UTC (2026-01-31T12:00:00Z), from 1970 to 2037."
SEARCH_ISSUE = "Must be the number of an order (K7Q2M-4XH9P) or a whole e-mail address."
FILTERS: dict[str, dict[str, Any]] = {
    "status": {
        "type": "string",
        "allowed": STATUSES,
        "meta": {"description": "Only orders in this status.", "example": "placed"},
    },
    "payment_status": {
        "type": "string",
        "allowed": PAYMENT_STATUSES,
        "meta": {"description": "Only orders in this payment status.", "example": "paid"},
    },
    "from": MOMENT
    | {
        "coerce": to_moment,
        "meta": {
            "issue": MOMENT_ISSUE,
            "description": "Only orders that were placed then or later: a day, from its first second, or a moment in "
            "UTC.",
            "example": "2026-01-31",
        },
    },
    "to": MOMENT
    | {
        "coerce": LAST_SECOND,
        "meta": {
            "issue": MOMENT_ISSUE,
            "description": "Only orders that were placed then or earlier: a day, to its last second, or a moment in "
            "UTC.",
            "example": "2026-12-31T23:59:59Z",
        },
    },
    "search": {
        "type": "string",
        "maxlength": LONGEST_EMAIL,
        "coerce": str.strip,
        "meta": {
            "issue": SEARCH_ISSUE,
            "description": "For administrators: the number of an order, in any case and with or without its hyphen, or "
            "the whole e-mail address of a customer.",
            "example": "ada@example.com",
        },
    },
    "mine": {
        "type": "boolean",
        "default": False,
        "meta": {"description": "For administrators: with true, only one's own, as other accounts get them always."},
    },
}
LIST = Query(
    **FILTERS,
    per_page=page_size("orders"),
    after=next_page("The `next` of the page before, with the same filters: the page that follows it."),
)
SUMMARY = Shape("OrderSummary", **SUMMARY_FIELDS)
PAGE = Shape(
    "OrderPage",
    items=field("list", "The orders of this page, the newest first.", items=SUMMARY),
    pagination=pages_by_cursor(
        "OrderPagination",
        "orders",
        " Orders that are placed meanwhile move nothing: they come before the first page.",
    ),
)
BY = {  # what the list is narrowed to → its statement
    "user_id": "orders/list_user",
    "email": "orders/list_email",
    "number": "orders/list_number",
}
BY_STATUS = {  # whether by status, and whether by payment_status
    (False, False): "orders/list",
    (True, False): "orders/list_status",
    (False, True): "orders/list_payment_status",
    (True, True): "orders/list_both",
}


@app.get(
    "/api/orders",
    auth=USER,
    query=LIST,
    returns=PAGE,
    raises=(Forbidden,),
    sends=("Link",),
    compress=True,
    message="Orders listed.",
)
def list_orders(db: Session, query: Row, user: Row) -> Row:
    """List orders, the newest first: one's own, or for an administrator those of all customers.

    All filters can be combined, but search and mine. Follow `next` to the end, and every order that was there at the
    beginning comes once, however many are placed meanwhile.
    """
    wanted = wanted_by(query, user)
    place = place_of(query, NEWEST, [BEHIND])
    rows = read(db, wanted, query["per_page"] + 1, place.get("after_time"), place.get("after_id"))
    items = rows[: query["per_page"]]
    following = next_of(NEWEST, place, len(items), position(items[-1])) if len(rows) > len(items) else None
    return {
        "items": [{name: row[name] for name in SUMMARY_FIELDS} for row in items],
        "pagination": {"per_page": query["per_page"], "has_next": following is not None, "next": following},
    }


def wanted_by(query: Row, user: Row) -> Row:
    """Return what a list is narrowed to, for `read`; raise Forbidden or ValidationError.

    `query`: as FILTERS declare it. `user`: who asks; others than administrators get their own orders only.
    """
    is_admin = user["role"] == "admin"
    search = query.get("search")
    if search and not is_admin:
        raise Forbidden("Only an administrator can search.")
    if search and query["mine"]:
        raise ValidationError(("search", "Must be left out when 'mine' is given."))
    if query.get("from", "") > query.get("to", LATEST):
        raise ValidationError(("from", "Must not be later than 'to'."))
    number = number_in(search) if search else None
    email = address_of(search) if search and not number else None
    if search and not number and not email:
        raise ValidationError(("search", SEARCH_ISSUE))
    return {
        "user_id": None if is_admin and not query["mine"] else user["id"],
        "email": email,
        "number": number,
        "status": query.get("status"),
        "payment_status": query.get("payment_status"),
        "from_time": query.get("from"),
        "to_time": query.get("to"),
    }


def read(db: Session, wanted: Row, limit: int, after_time: str | None, after_id: int | None) -> list[Row]:
    """Return orders, the newest first, at most `limit`; `after_time` and `after_id`: `position` of the last one seen.

    `wanted`: as `wanted_by` returns it. Each way to narrow a list is a statement of its own, with an index of its own.
    """
    page = {"limit": limit, "after_time": after_time, "after_id": after_id}
    page |= {name: wanted[name] for name in ("from_time", "to_time")}
    statuses = {name: wanted[name] for name in ("status", "payment_status")}
    for name, statement in BY.items():
        if wanted[name] is not None:
            return db.many(statement, **{name: wanted[name]}, **statuses, **page)
    given = {name: value for name, value in statuses.items() if value is not None}
    return db.many(BY_STATUS["status" in given, "payment_status" in given], **given, **page)


def position(row: Row) -> tuple[str, int]:
    """Return the position behind an order of a list: after_time and after_id."""
    return str(row["placed_at"]), row["id"]
