"""What a header says about plans: values to try the statement with, and what the plan is allowed to do.

    -- sample: category_id=7, limit=21, offset=0        one case; what is not named is NULL, and (0) behind IN
    -- sample: words='+desk* +lamp*', limit=21,         goes on in lines that are indented by three spaces or more
    --   after_id=(SELECT …)
    -- allow: filesort on cart_items (at most 100 lines)

A value is NULL, a number, a 'text' ('' is a quote in it), a list of numbers like (1, 2) for `IN %(ids)s`, or a
(SELECT …) of one column, which is run first: the value is what its first row has, or NULL where it has none; a list is
what all its rows have. So a sample fits whatever catalogue there is.

What may be allowed: `full scan`, `filesort` and `temporary table`, several of them with `and` between. After that, each
only where it says something:

    on cart_items       for that table; or for what EXPLAIN has in its place: `derived`, the rows that a subquery gave
                        (`subquery`, `union` likewise), and `document`, those of a JSON_TABLE
    up to 5000 rows     by the server's own estimate
    in MySQL            or in MariaDB: only that one's plan needs it
    (the reason)        always: why that stays cheap, however large the shop
"""

import dataclasses
import decimal
import re
from collections.abc import Collection
from typing import Any

KINDS = ("full scan", "filesort", "temporary table")
MADE = ("derived", "subquery", "union", "document")  # the server's own tables, <derived2> in a plan, and JSON_TABLE
SERVERS = ("MariaDB", "MySQL")

NAME = re.compile(r"\s*([a-z][a-z0-9_]*)\s*=\s*")
LITERAL = re.compile(r"(NULL\b)|(-?\d+(?:\.\d+)?)(?![\w.])|('(?:[^'\\]|'')*')")
LIST = re.compile(r"\((\d+(?:, *\d+)*)\)")
NO_LIST = (0,)  # see statement.py
QUOTED_OR_PARENTHESIS = re.compile(r"'(?:[^'\\]|'')*'|[()]")
NEXT = re.compile(r"\s*(?:,|\Z)")
KIND = "|".join(KINDS)
ALLOW = re.compile(
    rf"(?P<kinds>(?:{KIND})(?:(?:, | and )(?:{KIND}))*)(?: on (?P<table>\w+))?(?: up to (?P<rows>\d+) rows)?"
    r"(?: in (?P<server>\w+))?(?: *\((?P<reason>.*)\))?\Z"
)


@dataclasses.dataclass(frozen=True)
class Query:
    """A value that the database has to be asked for."""

    text: str


@dataclasses.dataclass(frozen=True)
class Sample:
    """One case to explain a statement with: {parameter: value or Query}, as written, and the line where it begins."""

    values: dict[str, Any]
    text: str
    line: int


@dataclasses.dataclass(frozen=True)
class Allowance:
    """One kind of work that a plan may do. `table`, `rows` and `server` are None where it holds for all of them."""

    kind: str
    table: str | None
    rows: int | None
    server: str | None
    line: int

    def covers(self, kind: str, names: Collection[str], rows: int, server: str) -> bool:
        """Whether it allows this kind of work on so many rows of the table with these names (its own, its alias)."""
        return (
            kind == self.kind
            and self.table in (None, *names)
            and self.server in (None, server)
            and (self.rows is None or rows <= self.rows)
        )

    def __str__(self) -> str:
        return f"allow: {self.kind}" + (f" on {self.table}" if self.table else "")


def sample(text: str, line: int, params: Collection[str], lists: Collection[str] = ()) -> Sample:
    """Parse one `sample:` of a statement with these parameters; raise ValueError with what is wrong.

    `lists`: those of the parameters that are tuples.
    """
    values: dict[str, Any] = {}
    at = 0
    while at < len(text):
        name = NAME.match(text, at)
        if not name:
            raise ValueError(f"'sample:' wants name=value, separated by commas; it has {text[at:].strip()[:40]!r}")
        if name[1] not in params:
            raise ValueError(f"the sample gives a value to {name[1]}, which is no parameter of the statement")
        if name[1] in values:
            raise ValueError(f"the sample gives {name[1]} two values")
        values[name[1]], at = _value(text, name.end(), name[1])
        comma = NEXT.match(text, at)
        if not comma:
            raise ValueError(f"after the value of {name[1]} the sample wants a comma; it has {text[at:][:40]!r}")
        at = comma.end()
    for param, value in values.items():
        if not isinstance(value, Query) and isinstance(value, tuple) != (param in lists):
            raise ValueError(f"{param} must have a list where the statement has IN %({param})s, and only there")
    return Sample({param: NO_LIST if param in lists else None for param in params} | values, text, line)


def value(text: str, name: str) -> Any:
    """Parse one value, written as in a sample; raise ValueError with what is wrong. `name`: its parameter."""
    found, end = _value(text, 0, name)
    if text[end:].strip():
        raise ValueError(f"behind the value of {name} there is more: {text[end:].strip()[:40]!r}")
    return found


def _value(text: str, at: int, name: str) -> tuple[Any, int]:
    """Return the value that begins here, and where it ends."""
    if text.startswith("(SELECT ", at):
        end = _closing(text, at)
        if not end:
            raise ValueError(f"the (SELECT …) of {name} is not closed")
        return Query(text[at + 1 : end - 1]), end
    if listed := LIST.match(text, at):
        return tuple(map(int, listed[1].split(","))), listed.end()
    found = LITERAL.match(text, at)
    if not found:
        raise ValueError(f"the value of {name} is none of NULL, a number, a 'text', a list of numbers or a (SELECT …)")
    _, number, quoted = found.groups()
    if number:
        return (decimal.Decimal(number) if "." in number else int(number)), found.end()
    return (quoted[1:-1].replace("''", "'") if quoted else None), found.end()


def _closing(text: str, at: int) -> int | None:
    """Return where the parenthesis that opens here has been closed, or None."""
    depth = 0
    for found in QUOTED_OR_PARENTHESIS.finditer(text, at):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if not depth:
            return found.end()
    return None


def allowances(text: str, line: int, body: str) -> list[Allowance]:
    """Parse one `allow:` of a statement with this text; raise ValueError with what is wrong."""
    found = ALLOW.match(text)
    if not found:
        raise ValueError(
            f"'allow: {text}' wants one of {', '.join(KINDS)}; then, where need be, 'on' a table, 'up to' some 'rows', "
            "'in' a server; and (why)"
        )
    table, server, reason = found["table"], found["server"], (found["reason"] or "").strip()
    if not reason:
        raise ValueError(f"'allow: {text}' gives no reason: say in parentheses why that stays cheap")
    if table and table not in MADE and not re.search(rf"\b{table}\b", body):
        raise ValueError(f"allows something on {table}, which the statement does not name")
    if server and server not in SERVERS:
        raise ValueError(f"'in {server}' is none of {', '.join(f'in {known}' for known in SERVERS)}")
    rows = int(found["rows"]) if found["rows"] else None
    return [Allowance(kind, table, rows, server, line) for kind in re.split(", | and ", found["kinds"])]
