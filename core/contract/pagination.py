"""What lists share: page numbers, and the cursor that continues behind the last row of a page.

A cursor is opaque to clients: base64 of JSON, [sort, page, rows on the pages before, *position]. The position says
where the page begins, and belongs to the resource: for each order it declares forms, which are sequences of Keys.
"""

import base64
import binascii
import datetime
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from bottle import request, response

from core.contract.shapes import Shape, field
from core.errors import ValidationError
from core.json_text import dump

Place = dict[str, Any]

MOST_ON_A_PAGE = 100
LONGEST_CURSOR = 4000  # characters; a name of 255, each of four bytes or escaped, makes 2,200
FARTHEST = 2**53  # rows to skip: beyond every end, and still a number that SQL takes
NOT_OURS = "Must be the 'next' of an earlier page with the same sort."
MOMENT = re.compile(
    r"(19[7-9][0-9]|20[0-3][0-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]) ([01][0-9]|2[0-3])(:[0-5][0-9]){2}\Z"
)
NUMBERS: dict[str, dict[str, Any]] = {  # what `numbers_of` returns, for a Shape
    "page": field("integer", "The number of this page; the first one is 1.", 1),
    "per_page": field("integer", "How many items a full page has.", 20),
    "total": field("integer", "How many items all pages have together.", 483),
    "pages": field("integer", "How many pages there are.", 25),
    "has_next": field("boolean", "Whether a page follows.", True),
    "has_prev": field("boolean", "Whether a page comes before.", False),
}


class Key(NamedTuple):
    """One value of a position: the parameter that takes it, whether a value is possible, and how it is read."""

    parameter: str
    fits: Callable[[Any], bool]
    read: Callable[[Any], Any] = lambda value: value


def is_count(value: Any) -> bool:
    """Whether a cursor's value is an id, or a number of rows: 0 to 2**31 - 1."""
    return type(value) is int and 0 <= value < 2**31


def is_moment(value: Any) -> bool:
    """Whether a cursor's value is a TIMESTAMP of the database: 1970 to 2039, to the second."""
    if not isinstance(value, str) or not MOMENT.match(value):
        return False
    try:
        datetime.datetime.strptime(value, "%Y-%m-%d %H:%M:%S")
    except ValueError:  # the pattern takes a 30th of February
        return False
    return True


def is_like(pattern: str) -> Callable[[Any], bool]:
    """Return what says whether a cursor's value is text that matches, to its end."""
    whole = re.compile(pattern, re.S)
    return lambda value: isinstance(value, str) and whole.fullmatch(value) is not None


def page_size(what: str) -> dict[str, Any]:
    """Return the rules of the parameter per_page. `what` a page has: "orders"."""
    meta = {"description": f"How many {what} are on a page."}
    return {"type": "integer", "min": 1, "max": MOST_ON_A_PAGE, "default": 20, "meta": meta}


def next_page(described: str) -> dict[str, Any]:
    """Return the rules of the parameter `after` of a list that has cursors and no page numbers."""
    meta = {"issue": "Must be the 'next' of an earlier page.", "description": described}
    return {"type": "string", "maxlength": LONGEST_CURSOR, "meta": meta}


def pages_by_cursor(name: str, what: str, about: str = "") -> dict[str, Any]:
    """Return the field `pagination` of such a list: "OrderPagination", of pages that have "orders"."""
    shape = Shape(
        name,
        per_page=field("integer", f"How many {what} a full page has.", 20),
        has_next=field("boolean", "Whether a page follows.", True),
        next=field(
            "string",
            "What to send as after for the next page; null on the last one.",
            "WyJuZXdlc3QiLCAyLCAiMjAyNiJd",
            nullable=True,
        ),
    )
    return field("dict", f"Where the next page is.{about}", shape=shape)


def numbers_of(page: int, per_page: int, total: int) -> dict[str, Any]:
    """Return the numbers in the pagination of every list; `has_next` depends on the total."""
    return {
        "page": page,
        "per_page": per_page,
        "total": total,
        "pages": math.ceil(total / per_page),
        "has_next": page * per_page < total,
        "has_prev": page > 1,
    }


def place_of(query: dict[str, Any], sort: str, forms: Iterable[Sequence[Key]]) -> Place:
    """Return where the page begins: by its number, or at the position of the cursor in `after`.

    `query`: page, per_page and after, as validated. `forms`: the positions that a cursor of this order may have.
    Returns page, per_page, `offset` (rows to skip), `shown` (rows on the pages before), and what the form's keys read.
    Raises ValidationError for a cursor of another order, and for one that the shop has not made.
    """
    place: Place = {"per_page": query["per_page"], "offset": 0}
    if "after" not in query:
        page = query.get("page", 1)
        skipped = min((page - 1) * query["per_page"], FARTHEST)
        return place | {"page": page, "offset": skipped, "shown": skipped}
    if "page" in query:
        raise ValidationError(("page", "Must be left out when 'after' is given."))
    try:
        text = query["after"]
        made_for, page, shown, *position = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise ValidationError(("after", NOT_OURS)) from None
    form = next((form for form in forms if _fits(position, form)), None)
    if made_for != sort or not is_count(page) or page == 0 or not is_count(shown) or form is None:
        raise ValidationError(("after", NOT_OURS))
    read = {key.parameter: key.read(value) for key, value in zip(form, position, strict=True)}
    return place | {"page": page, "shown": shown} | read


def _fits(position: list[Any], form: Sequence[Key]) -> bool:
    return len(position) == len(form) and all(key.fits(value) for key, value in zip(form, position, strict=True))


def pagination_of(
    sort: str, place: Place, shown: int, total: int, *, exact: bool, behind: Sequence[Any] | None
) -> dict[str, Any]:
    """Return the pagination of the page at `place`; give the answer a Link to the next page.

    `shown`: rows on this page. `total`: a lower bound if not `exact`. `behind`: the position that the next page begins
    at, in one of the forms of `place_of`; None if nothing is left.
    """
    pagination = numbers_of(place["page"], place["per_page"], total)
    pagination |= {"has_next": behind is not None, "next": next_of(sort, place, shown, behind)}
    if not exact:
        pagination["total_is_exact"] = False
    return pagination


def next_of(sort: str, place: Place, shown: int, behind: Sequence[Any] | None) -> str | None:
    """Return the cursor of the next page, None if nothing is left; give the answer a Link to that page.

    The parameters are those of `pagination_of`.
    """
    if behind is None:
        return None
    parts = [sort, place["page"] + 1, place["shown"] + shown, *behind]
    cursor = base64.urlsafe_b64encode(dump(parts)).rstrip(b"=").decode()
    response.set_header("Link", f'<{_next_url(cursor)}>; rel="next"')
    return cursor


def _next_url(cursor: str) -> str:
    """Return this request's own address with the cursor instead of the page number."""
    given = parse_qsl(request.query_string, keep_blank_values=True)
    others = [(name, value) for name, value in given if name not in ("page", "after")]
    return f"{request.path}?{urlencode([*others, ('after', cursor)])}"
