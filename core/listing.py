"""What lists share: page numbers, and the cursor that continues a page."""

import base64
import binascii
import datetime
import json
import math
import re
from urllib.parse import parse_qsl, urlencode

from bottle import request

from core.errors import ValidationError

KEYS = {"created_at": "after_time", "price": "after_price", "name": "after_name", "newest_id": "newest_id"}
VALUES = {  # what a cursor may hold for a column
    "created_at": re.compile(
        r"20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]) ([01][0-9]|2[0-3])(:[0-5][0-9]){2}\Z"
    ),
    "price": re.compile(r"[0-9]{1,8}\.[0-9]{2}\Z"),
    "name": re.compile(r"[^\x00\ud800-\udfff]{1,255}\Z", re.S),
    "newest_id": re.compile(r"[0-9]{1,10}\Z"),
}

BY_RELEVANCE = "newest_id"  # in place of a column: there is none to continue behind, see sql/products/search.sql
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
    """Return where the page begins: by number, or behind the product that the cursor names."""
    place = dict.fromkeys(KEYS.values()) | {"after_id": None, "per_page": query["per_page"], "offset": 0}
    if "after" not in query:
        page = query.get("page", 1)
        return place | {"page": page, "offset": min((page - 1) * query["per_page"], FARTHEST)}
    if "page" in query:
        raise ValidationError(("page", "Must be left out when 'after' is given."))
    try:
        text = query["after"]
        made_for, page, value, id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
        if column == "created_at":
            datetime.datetime.strptime(value, "%Y-%m-%d %H:%M:%S")  # the pattern below takes a 30th of February
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise ValidationError(("after", sentence_for_after())) from None
    whole = all(type(number) is int and 0 < number < 2**31 for number in (page, id))
    if made_for != sort or not whole or not isinstance(value, str) or not VALUES[column].match(value):
        raise ValidationError(("after", sentence_for_after()))
    if column == BY_RELEVANCE:
        return place | {"page": page, "offset": id, "newest_id": int(value)}
    return place | {"page": page, "after_id": id, KEYS[column]: value}


def sentence_for_after():
    """Return what is said of every cursor that is not ours, or not for this order."""
    return "Must be the 'next' of an earlier page with the same sort."


def cursor_behind(sort, column, page, last, seen):
    """Return the opaque text that continues behind `last` (the page's last product), or by relevance behind `seen`."""
    parts = [sort, page, str(last[column]), seen if column == BY_RELEVANCE else last["id"]]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()


def next_url(cursor):
    """Return this request's own address with the cursor in place of the page number."""
    given = parse_qsl(request.query_string, keep_blank_values=True)
    kept = [(name, value) for name, value in given if name not in ("page", "after")]
    return f"{request.path}?{urlencode([*kept, ('after', cursor)])}"
