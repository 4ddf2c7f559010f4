"""A statement with its values in it, to paste into any client: `server.py sql NAME --print`."""

import datetime
import re
from typing import Any

from core.db.statement import PLACEHOLDER, Statement

# What the shop's own connections have set, where a result depends on it: the times of UTC, how texts compare.
SETTINGS = "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_520_ci; SET time_zone = '+00:00';"
ESCAPES = {"'": "''", "\\": "\\\\", "\0": "\\0", "\n": "\\n", "\r": "\\r", "\x1a": "\\Z"}
ESCAPED = re.compile("['\\\\\0\n\r\x1a]")


def bound(statement: Statement, values: dict[str, Any]) -> str:
    """Return the statement as both servers take it, with its name in front and each value as a literal."""
    parts = PLACEHOLDER.split(f"/* {statement.name} */ {statement.body}")  # between the placeholders stand their names
    filled = [literal(values[part]) if place % 2 else part.replace("%%", "%") for place, part in enumerate(parts)]
    return "".join(filled) + ";"


def literal(value: Any) -> str:
    """Return a value as a literal of SQL, for a server without NO_BACKSLASH_ESCAPES and ANSI_QUOTES.

    A list is written with its parentheses, and bytes as X'…'. Raises TypeError for what no statement takes.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))})"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, str | datetime.datetime | datetime.date):
        return "'" + ESCAPED.sub(lambda found: ESCAPES[found[0]], str(value)) + "'"
    if isinstance(value, int | float):
        return repr(value)
    if hasattr(value, "is_finite"):  # Decimal
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} has no literal")
