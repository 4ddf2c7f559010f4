"""Reads the body of a request: bounded, of the declared media type, and as JSON strictly."""

import json
import re
from decimal import Decimal
from typing import Any, Never

from core.errors import MalformedJson, PayloadTooLarge, UnsupportedMediaType

LARGEST_BODY = 64 * 1024  # bytes
LONGEST_NUMBER = 4300  # characters; Python's own bound for integers, as conversion takes quadratic time
LONGEST_TYPE = 255  # characters of a Content-Type that are looked at
LONGEST_ECHO = 100  # characters of a client's own words that an error repeats


def json_of(environ: dict[str, Any]) -> bytes:
    """Return the body's bytes, declared as JSON; raise UnsupportedMediaType or PayloadTooLarge."""
    if not is_declared(environ, "application/json"):
        raise UnsupportedMediaType()
    return raw_of(environ, LARGEST_BODY)


def parsed(raw: bytes) -> dict[str, Any]:
    """Return a JSON object, read strictly: no duplicate keys, no NaN, no half characters; or raise MalformedJson.

    1.10 is a Decimal, exactly what was sent; 11e-1 is a float.
    """
    try:
        document = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no, parse_float=_number)
        if rb"\u" in raw:
            json.dumps(document, ensure_ascii=False, default=str).encode("utf-8")  # fails for half of a surrogate pair
    except RecursionError:
        raise MalformedJson("The body is nested too deeply.") from None
    except _Duplicate as twice:
        raise MalformedJson(f"The body has the field {str(twice)[:LONGEST_ECHO]} twice.") from None
    except ValueError:
        raise MalformedJson("The body is not valid JSON. Check quotes, commas and brackets.") from None
    if not isinstance(document, dict):
        raise MalformedJson('The body must be a JSON object: {"field": value, …}.')
    return document


def is_declared(environ: dict[str, Any], media_type: str) -> bool:
    """Whether the body is declared as this, in UTF-8."""
    kind, _, options = environ.get("CONTENT_TYPE", "")[:LONGEST_TYPE].partition(";")
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", options, re.I)
    return kind.strip().lower() == media_type and (not charset or charset[1].lower() in ("utf-8", "utf8"))


def raw_of(environ: dict[str, Any], largest: int) -> bytes:
    """Return the body's bytes; raise PayloadTooLarge, as early as it can be known."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    raw = environ["wsgi.input"].read(largest + 1) if length <= largest else b""
    if max(length, len(raw)) > largest:
        raise PayloadTooLarge(f"The body is too large; at most {largest // 1024} KiB are taken.")
    return raw


class _Duplicate(Exception):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        seen: set[str] = set()  # not names.count(): thousands of fields would be compared with each other
        for name, _ in pairs:
            if name in seen:
                raise _Duplicate(json.dumps(name))
            seen.add(name)
    return document


def _no(constant: str) -> Never:
    raise ValueError(constant)


def _number(text: str) -> Decimal | float:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(text)
    if "e" not in text.lower():
        return Decimal(text)
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(text)
    return number
