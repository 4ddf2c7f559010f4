"""What lists share: page numbers, and the cursor that continues a page."""

import base64
import binascii
import datetime
import json
import math
import re
from urllib.parse import parse_qsl, urlencode

from bottle import request, response

from core.errors import ValidationError

KEYS = {"created_at": "after_time", "price": "after_price", "name": "after_name", "newest_id": "newest_id"}
VALUES = {  # what a cursor may hold for a column
    "created_at": re.compile(
        r"(19[7-9][0-9]|20[0-3][0-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]) ([01][0-9]|2[0-3])(:[0-5][0-9]){2}\Z"
    ),
    "price": re.compile(r"[0-9]{1,8}\.[0-9]{2}\Z"),
    "name": re.compile(r"[^\x00\ud800-\udfff]{1,255}\Z", re.S),
    "newest_id": re.compile(r"[0-9]{1,10}\Z"),
}

BY_RELEVANCE = "newest_id"  # in place of a column: there is none to continue behind, see sql/products/search.sql
LONGEST_CURSOR = 4000  # characters; a name of 255, each of four bytes or escaped, makes 2,200
FARTHEST = 2**53  # rows to skip: beyond every end, and still a number that SQL takes


NUMBERS = {  # what `numbers_of` returns, for a Shape
    "page": {"type": "integer", "meta": {"example": 1}},
    "per_page": {"type": "integer", "meta": {"example": 20}},
    "total": {"type": "integer", "meta": {"example": 483}},
    "pages": {"type": "integer", "meta": {"example": 25}},
    "has_next": {"type": "boolean", "meta": {"example": True}},
    "has_prev": {"type": "boolean", "meta": {"example": False}},
}


def numbers_of(page, per_page, total):
    """Return what the pagination of every list says; `has_next` goes by the total."""
    return {
        "page": page,
        "per_page": per_page,
        "total": total,
        "pages": math.ceil(total / per_page),
        "has_next": page * per_page < total,
        "has_prev": page > 1,
    }


def place_of(query, sort, column):
    """Return where the page begins: by number, or behind the product that the cursor names.

    `shown`: products on the pages before. `reads`: whether a search by relevance goes on by reading; then `after_…`
    says behind which product those read begin, and `offset` how many of their hits are skipped.
    """
    place = dict.fromkeys((*KEYS.values(), "after_id")) | {"per_page": query["per_page"], "offset": 0, "reads": False}
    if "after" not in query:
        page = query.get("page", 1)
        skipped = min((page - 1) * query["per_page"], FARTHEST)
        return place | {"page": page, "offset": skipped, "shown": skipped}
    if "page" in query:
        raise ValidationError(("page", "Must be left out when 'after' is given."))
    try:
        text = query["after"]
        parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
        made_for, page, shown, value, id, *window = parts
        time, behind = window or (None, None)
        for moment in {value if column == "created_at" else time} - {None}:
            datetime.datetime.strptime(moment, "%Y-%m-%d %H:%M:%S")  # the pattern takes a 30th of February
            if not VALUES["created_at"].match(moment):
                raise ValueError(moment)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise ValidationError(("after", sentence_for_after())) from None
    whole = all(type(number) is int and 0 <= number < 2**31 for number in (page, shown, id, behind or 0))
    fits = isinstance(value, str) and VALUES[column].match(value) and (window == [] or column == BY_RELEVANCE)
    if made_for != sort or not whole or not fits or (time is None) != (behind is None) or not page:
        raise ValidationError(("after", sentence_for_after()))
    place |= {"page": page, "shown": shown}
    if column == BY_RELEVANCE:
        seen = {"newest_id": int(value), "offset": id}
        return place | seen | {"reads": bool(window), "after_time": time, "after_id": behind}
    return place | {"after_id": id, KEYS[column]: value}


def sentence_for_after():
    """Return what is said of every cursor that is not ours, or not for this order."""
    return "Must be the 'next' of an earlier page with the same sort."


def last_of(row, column):
    """Return the row that the next page begins behind, in the order by this column, as `pagination_of` takes it."""
    return row[column], row["id"]


def pagination_of(sort, place, found):
    """Return the pagination of the page at `place`; give the answer a Link to the next one.

    `found`: its `items`, their `total` (a lower bound where not `exact`), and `behind`: `last_of` the last one, or
    what resources/products_search.py has in its place by relevance; None where nothing is left.
    """
    pagination = numbers_of(place["page"], place["per_page"], found.total)
    pagination |= {"has_next": found.behind is not None, "next": None}
    if not found.exact:
        pagination["total_is_exact"] = False
    if found.behind:
        value, *rest = found.behind
        parts = [sort, place["page"] + 1, place["shown"] + len(found.items), str(value), *rest]
        text = json.dumps(parts, ensure_ascii=False).encode()
        pagination["next"] = cursor = base64.urlsafe_b64encode(text).rstrip(b"=").decode()
        response.set_header("Link", f'<{_next_url(cursor)}>; rel="next"')
    return pagination


def _next_url(cursor):
    """Return this request's own address with the cursor in place of the page number."""
    given = parse_qsl(request.query_string, keep_blank_values=True)
    kept = [(name, value) for name, value in given if name not in ("page", "after")]
    return f"{request.path}?{urlencode([*kept, ('after', cursor)])}"
