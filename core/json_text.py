"""JSON as it leaves the shop, in bytes."""

from decimal import Decimal
from typing import Any

import orjson

MEDIA_TYPE = "application/json"
OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS


def dump(document: Any) -> bytes:
    """Return JSON as bytes: decimals as exact numbers, datetimes as UTC with Z and whole seconds."""
    return orjson.dumps(document, _default, OPTIONS)


def raw(text: bytes) -> orjson.Fragment:
    """Return JSON that is made already, to stand inside of a document."""
    return orjson.Fragment(text)


def _default(value: Any) -> orjson.Fragment:
    if type(value) is Decimal:
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"{type(value).__name__} has no form in JSON")
