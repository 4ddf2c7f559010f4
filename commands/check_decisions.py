"""What a server decided for a statement: the steps of its plan, in a text that can be kept and compared.

    derived ALL, sort > products eq_ref PRIMARY/4 | DERIVED: products range ix_products_price/6, covering

Tables stand in the order in which they are read. Each has its access (EXPLAIN's `type`), its index, how many bytes of
that are compared (so whether its second column helps), and the work that is done besides: `covering` (the index alone
is enough), `sort`, `temporary table` and so on. A subquery and a branch of a UNION stand behind `|`; a branch that the
values of the sample rule out is left out.

What the next ANALYZE TABLE may change without another decision is left out as well: rows, filtered, possible keys; and
what follows from the rest, as `Using where` does. So 100 of them changed nothing in 316 plans of MariaDB 10.11 and of
MySQL 9.7, each with 20,000 products and orders.
"""

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from core.db.plan_hints import MADE
from core.db.session import Row
from core.db.statement import Statement

WORK = {  # what EXPLAIN's Extra says → the word for it
    r"Using index(?! condition)": "covering",
    r"Using index for group-by": "group by group",
    r"Using filesort": "sort",
    r"Using join buffer": "join buffer",
    r"Using (?:union|sort_union|intersect)": "several indexes",
    r"FirstMatch|LooseScan|Not exists": "first match",
    r"Range checked for each record": "index by row",
    r"Full scan on NULL key": "full scan on NULL",
    r"Select tables optimized away": "no rows read",
    r"Deleting all rows": "all rows",
}
NAMED = re.compile(r"\b(?:FROM|JOIN|STRAIGHT_JOIN|UPDATE|INTO)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?", re.I)
MATERIALISED = "Table function: json_table; Using temporary"  # MySQL says this of every document
ABSENT = re.compile(r"(?:no matching|unique) row|noticed after reading", re.I)  # it depends on the rows that there are
MAIN = ("PRIMARY", "SIMPLE", "INSERT", "REPLACE", "UPDATE", "DELETE")  # the statement itself
NO_ROW = "no_row"  # what stands for that
NOTHING = "nothing"  # no table
STEP = re.compile(
    r"(?:(?P<select>[A-Z ]+): )?(?P<table>\w+)(?: (?P<access>\w+))?(?: (?P<key>[^\s,/]+)/(?P<length>[\d,]+))?"
    r"(?P<work>(?:, [\w ]+)*)"
)
ACCESS = {  # the access in words; {} is the index
    "ALL": "is read whole",
    "index": "is read along all of {}",
    "range": "is read by a range of {}",
    "eq_ref": "is looked up row by row in {}",
    "const": "gives one row by {}",
    "system": "gives its one row",
    "fulltext": "is searched in {}",
    "index_merge": "is read by {} together",
}
Key = tuple[
    str, str, int
]  # the part of the statement (DERIVED, UNION; "": itself), the table, how often it came before


class Step(NamedTuple):
    """What is done with one table. `length`: how many bytes of its index `key` are compared; `work`: words of WORK."""

    table: str
    access: str
    key: str
    length: str
    work: tuple[str, ...]

    def __str__(self) -> str:
        """Return e.g. "is read by a range of ix_products_price (6 bytes), sort"."""
        words = ACCESS.get(self.access, "is looked up in {}").format(self.key) if self.access else "is not read"
        return ", ".join([words + (f" ({self.length} bytes)" if self.length not in ("", "0") else ""), *self.work])


def decision(rows: Sequence[Row], statement: Statement, server: str) -> str:
    """Return what the server (MariaDB or MySQL) decided, from the rows of its EXPLAIN."""
    parts = []
    for _, group in itertools.groupby(rows, lambda row: row["id"]):
        of_part = list(group)
        kind = of_part[0]["select_type"]
        steps = list(filter(None, (_step(row, statement, server) for row in of_part)))
        if steps:
            parts.append(("" if kind in MAIN else f"{kind}: ") + " > ".join(steps))
    return " | ".join(parts) or NOTHING


def _step(row: Row, statement: Statement, server: str) -> str | None:
    extra = row["Extra"] or ""
    if ABSENT.search(extra):
        return NO_ROW
    work = [word for said, word in WORK.items() if re.search(said, extra)]
    if stores_rows(row, server):
        work.append("temporary table")
    if (not row["table"] and not work) or row["select_type"] in ("INSERT", "REPLACE"):
        return None
    table = names_of(row, statement)[0] if row["table"] else NOTHING
    access = f" {row['type']}" if row["type"] else ""
    index = f" {row['key'].replace(',', '+')}/{row['key_len'] or 0}" if row["key"] else ""
    return ", ".join([f"{table}{access}{index}", *work])


def stores_rows(row: Row, server: str) -> bool:
    """Whether a row of a plan needs a temporary table."""
    extra = row["Extra"] or ""
    rest = extra.replace(MATERIALISED, "", 1) if server == "MySQL" else extra
    return "Using temporary" in rest or "Start temporary" in rest


def names_of(row: Row, statement: Statement) -> list[str]:
    """Return what a header may call the table of a plan's row: its own name first, then its alias."""
    table = row["table"]
    if not table:  # "Deleting all rows"
        return sorted(statement.changes)
    if made := re.match(r"<([a-z]+)", table):
        return [made[1]]
    if "Table function" in (row["Extra"] or ""):
        return ["document", table]
    own = {name for name, alias in NAMED.findall(statement.body) if table in (name, alias)}
    return [own.pop(), table] if len(own) == 1 else [table]


def tables(text: str) -> set[str]:
    """Return the tables of a decision, without what the server makes itself."""
    return {step.table for step in _steps(text).values()} - {*MADE, NOTHING, NO_ROW}


def indexes(text: str) -> set[tuple[str, str]]:
    """Return (table, index) for each index that a decision reads."""
    found = {(step.table, index) for step in _steps(text).values() for index in step.key.split("+") if index}
    return {(table, index) for table, index in found if table not in MADE}


def of_table(text: str, table: str) -> list[Step]:
    """Return the steps of a decision that read this table."""
    return [step for step in _steps(text).values() if step.table == table and step.access]


def changes(before: str, now: str) -> list[str]:
    """Return in words what is decided otherwise now, a clause for each; none where nothing is."""
    old, new = _steps(before), _steps(now)
    told = [f"{_name(key)} {new[key]} (before: {old[key]})" for key in new if key in old and new[key] != old[key]]
    told += [f"{_name(key)} is new in the plan and {new[key]}" for key in new if key not in old]
    told += [f"{_name(key)} is not read any more (before: {old[key]})" for key in old if key not in new]
    order, was = [key for key in new if key in old], [key for key in old if key in new]
    if order != was:
        told.append(f"the order is {', '.join(map(_name, order))} (before: {', '.join(map(_name, was))})")
    return told


def _name(key: Key) -> str:
    select, table, times = key
    return table + (f" of {select}" if select else "") + (f" ({times + 1})" if times else "")


def _steps(text: str) -> dict[Key, Step]:
    """Return the steps of a decision, in their order."""
    found: dict[Key, Step] = {}
    for part in text.split(" | "):
        select = ""
        for written in part.split(" > "):
            match = STEP.fullmatch(written)
            if not match:
                raise ValueError(f"a plan has a step that nobody writes: {written!r}")
            select = match["select"] or select
            work = tuple(filter(None, match["work"].split(", ")))
            times = sum(key[:2] == (select, match["table"]) for key in found)
            found[select, match["table"], times] = Step(
                match["table"], match["access"] or "", match["key"] or "", match["length"] or "", work
            )
    return found
