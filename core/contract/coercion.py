"""Values from text, strictly: of query parameters, and JSON's whole numbers."""

import datetime
import re
from decimal import Decimal
from typing import Any

MOMENT = re.compile(
    r"(?P<day>(19[7-9][0-9]|20[0-2][0-9]|203[0-7])-[0-9]{2}-[0-9]{2})(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z)?\Z"
)


def coercion_of(rules: dict[str, Any]) -> dict[str, Any]:
    """Return the rule that turns a query parameter's text into its type; {} where text stays text."""
    coercers = {"integer": to_integer, "decimal": to_decimal, "boolean": to_boolean, "ids": to_ids}
    coercer = coercers.get(rules["type"])
    if not coercer:
        return {}
    return {"coerce": lambda value: coercer(value) if isinstance(value, str) else value}  # a default has its type


def to_whole(value: Any) -> Any:
    """Return the int that a JSON number like 1.0 is; anything else as it came."""
    if isinstance(value, (float, Decimal)) and value == int(value):
        return int(value)
    return value


def to_integer(text: str) -> int:
    """Return a whole number from plain digits: not "1_0", " 1", "1.0" or digits of other scripts."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError(text)
    return int(text)


def to_ids(text: str) -> tuple[int, ...]:
    """Return positive whole numbers that commas part: each once, in the order in which they come first."""
    ids = tuple(dict.fromkeys(map(to_integer, text.split(","))))
    if min(ids) < 1:
        raise ValueError(text)
    return ids


def to_decimal(text: str) -> Decimal:
    """Return an amount of at most two decimals."""
    if not re.fullmatch(r"-?[0-9]{1,10}(\.[0-9]{1,2})?", text):
        raise ValueError(text)
    return Decimal(text)


def to_boolean(text: str) -> bool:
    """Return a bool from "true" or "false"."""
    return {"true": True, "false": False}[text]


def to_moment(text: str, end: str = "00:00:00") -> str:
    """Return a moment in UTC as SQL takes it, of 2026-01-31T12:00:00Z or, at the time `end`, of the day 2026-01-31.

    From 1970 to 2037, what a TIMESTAMP has; a fraction of a second is kept. Moments compare as their texts do.
    """
    found = MOMENT.match(text)
    if not found:
        raise ValueError(text)
    whole = text if found["day"] != text else f"{text}T{end}Z"
    return datetime.datetime.fromisoformat(whole.removesuffix("Z")).isoformat(" ")


def to_day(text: str) -> str:
    """Return a day of 1970 to 2037, 2026-01-31, as it is."""
    found = MOMENT.match(text)
    if not found or found["day"] != text:
        raise ValueError(text)
    return datetime.date.fromisoformat(text).isoformat()
