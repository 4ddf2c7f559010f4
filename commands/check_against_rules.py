"""What a schema wants of rows that are written: rules that came, and may refuse what older shops write.

PREPARE says nothing of them, as they depend on values: a column that has no default now, or that may not be NULL, a
unique, foreign or check constraint.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from commands.migrate_baseline import lines_of
from commands.migrate_scratch import tables_of
from core.db import effects
from core.db.statement import Problem, Statement

NEEDED = (  # an ENUM without a default has its first value
    "SELECT table_name AS name, column_name AS field FROM information_schema.columns "
    "WHERE table_schema = DATABASE() AND is_nullable = 'NO' AND column_default IS NULL AND data_type <> 'enum' "
    "AND extra NOT LIKE '%auto_increment%' AND extra NOT LIKE '%GENERATED%'"
)
COLUMN = re.compile(r"`(\w+)` ")
NAMED = re.compile(r"`(\w+)`")
CONSTRAINT = re.compile(r"(?:UNIQUE KEY|PRIMARY KEY|CONSTRAINT|CHECK)\b")
INTO = re.compile(rf"INSERT(?: \w+)*? INTO ({effects.NAME}) \( ([^()]*) \).*", re.I)
LOOSE = re.compile(r" (?:DEFAULT (?:'(?:[^'\\]|\\.|'')*'|[\w.]+(?:\([^)]*\))?)|ON UPDATE \S+|COMMENT '.*')")
REFERS = re.compile(r"REFERENCES `(\w+)` \([^)]*\)(?!.* ON DELETE (?:CASCADE|SET NULL))")

Needed = set[tuple[str, str]]  # table, column


def needed_in(cursor: Any) -> Needed:
    """Return the columns that each INSERT has to name, in the schema of this cursor."""
    cursor.execute(NEEDED)
    return {(row["name"], row["field"]) for row in cursor.fetchall()}


class Rules:
    """The tables of a schema when this is made, as the server shows them. `cursor`: in it."""

    def __init__(self, cursor: Any) -> None:
        self.tables = {name: lines_of(text) for name, text in tables_of(cursor).items()}

    def tighter_than(self, before: "Rules", statements: Iterable[Statement]) -> list[str]:
        """Return what may refuse what these statements write, a line each, if it was not there before."""
        changed = {table for statement in statements for table in statement.changes}
        removed = {table for one in statements if one.body.upper().startswith("DELETE") for table in one.changes}
        found = []
        for table, lines in self.tables.items():
            old = before.tables.get(table, [])
            came = [line for line in lines if line not in old]
            if old and table in changed:
                found += [f"{table}: {what}" for what in _refusing(came, _columns(old), _columns(lines))]
            for line in came:
                refers = REFERS.search(line)
                if refers and refers[1] in removed:
                    found.append(f"{table}: {line}: while it has rows of it, none of {refers[1]} can be removed")
        return found


def unfilled(statement: Statement, needed: Needed) -> Problem | None:
    """Return the Problem of an INSERT that leaves a column out which it must name; None for all others."""
    if not statement.body.upper().startswith("INSERT"):
        return None
    found = INTO.fullmatch(effects.flat(statement.body))
    named = {name.strip("` ") for name in found[2].split(",")} if found else set()
    for table, column in sorted(needed):
        if table in statement.changes and column not in named:
            what = f"adds rows without {table}.{column}, which has no default and may not be NULL"
            return Problem(statement.path, statement.line_of(table), what)
    return None


def _columns(lines: list[str]) -> dict[str, str]:
    return {found[1]: line for line in lines if (found := COLUMN.match(line))}


def _nullable(line: str) -> bool:
    return " NOT NULL" not in line


def _refusing(came: list[str], before: dict[str, str], now: dict[str, str]) -> Iterator[str]:
    """Yield those of the lines that came which may refuse a row. `before`, `now`: columns, as `_columns` has them."""
    fresh = {name for name in now.keys() - before.keys() if _nullable(now[name])}  # old shops leave NULL there
    for line in came:
        column = COLUMN.match(line)
        if column and column[1] in before and _tighter(line, before[column[1]]):
            yield f"{line}; it was {before[column[1]]}"
        elif CONSTRAINT.match(line) and fresh.isdisjoint(NAMED.findall(line)):
            yield line


def _tighter(line: str, before: str) -> bool:
    """Whether a column's definition may refuse what the one before took; another default, or NULL, never does."""
    same = LOOSE.sub("", line).replace(" NOT NULL", "") == LOOSE.sub("", before).replace(" NOT NULL", "")
    return not same or (_nullable(before) and not _nullable(line))
