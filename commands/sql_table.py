"""Rows as a table for a terminal, as CSV and as JSON: what `server.py sql` prints."""

import csv
import datetime
import io
import re
import shutil
import sys
import unicodedata
from decimal import Decimal
from typing import Any

from core import json_text

WIDEST = 40  # columns of a terminal for one value of a table; --json and --csv have all of it
UNCUT = 10_000
NARROWEST = 10
GAP = "  "
# What would move the cursor, ring, colour, or turn a line around: texts come from anybody.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
Row = dict[str, Any]


def table(names: list[str], rows: list[Row], widest: int = WIDEST) -> list[str]:
    """Return the lines of a table: numbers to the right, wide texts cut; no wider than the terminal, if possible."""
    cells = [[shown(row[name]) for name in names] for row in rows]
    columns = list(zip(names, *cells, strict=True))
    widths = _fitting([min(max(map(width, column)), max(widest, width(column[0]))) for column in columns])
    number = [all(isinstance(row[name], int | float | Decimal | None) for row in rows) for name in names]
    lines = [names, ["-" * wide for wide in widths], *cells]
    return [
        GAP.join(
            _padded(cut(cell, wide), wide, to_right) for cell, wide, to_right in zip(line, widths, number, strict=True)
        ).rstrip()
        for line in lines
    ]


def record(row: Row) -> list[str]:
    """Return the lines of one row, a line for each column; nothing is cut."""
    wide = max(map(width, row))
    return [f"{_padded(name, wide)}{GAP}{shown(value)}".rstrip() for name, value in row.items()]


def as_csv(names: list[str], rows: list[Row]) -> str:
    """Return rows as CSV (RFC 4180) with a line of names; NULL is an empty field, a time is UTC."""
    made = io.StringIO()
    writer = csv.writer(made)
    writer.writerow(names)
    writer.writerows([None if row[name] is None else plain(row[name]) for name in names] for row in rows)
    return made.getvalue()


def as_json(document: Any) -> str:
    """Return rows as JSON: decimals as exact numbers, times as UTC with Z, bytes as hexadecimal digits."""
    return json_text.dump(_for_json(document)).decode()


def plain(value: Any) -> str:
    """Return a value as a text; a boolean as the 1 or 0 that it is in the database."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, bytes):
        return value.hex()
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def shown(value: Any) -> str:
    r"""Return a value in one line; characters that a terminal would obey as \x1b."""
    if value is None:
        return "NULL"
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), plain(value))


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes: none for an accent, two for a Chinese character."""
    if text.isascii():
        return len(text)
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, most: int) -> str:
    """Return a text that takes so many columns at most; … says that there is more."""
    if width(text) <= most:
        return text
    taken, room = 0, most - 1
    for character in text:
        room -= _width(character)
        if room < 0:
            break
        taken += 1
    return text[:taken] + "…"


def _padded(text: str, wide: int, to_right: bool = False) -> str:
    gap = " " * (wide - width(text))
    return gap + text if to_right else text + gap


def _fitting(widths: list[int]) -> list[int]:
    """Return the widths, the largest made smaller until all fit the terminal or are narrow."""
    room = terminal() - len(GAP) * (len(widths) - 1)
    widths = widths[:]
    while sum(widths) > room and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def terminal() -> int:
    """Return how many columns the terminal has; where the output is none, more than any table."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000


def _for_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_for_json(item) for item in value]
    if isinstance(value, dict):
        return {name: _for_json(item) for name, item in value.items()}
    return value if isinstance(value, str | int | float | Decimal | datetime.datetime | None) else plain(value)
