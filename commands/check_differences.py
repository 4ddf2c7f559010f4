"""What differs between two runs of a statement, released and edited, as lines that a DBA reads.

Values must be the same, of the same type; so must be the order, where the statement has an ORDER BY. Rows read may be
half as many again and 50 more, and the time twice as long and a millisecond more: what is beyond is no noise, as both
versions run in turns in one transaction, and the least of their times counts.
"""

import collections
import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from commands.check_touched import Change
from core.db import effects
from core.db.session import Row
from core.db.statement import Statement

EXAMPLES = 3  # of rows that differ
WIDTH = 44  # characters of a value
ORDER = re.compile(r"\bORDER BY (.+?)(?: (?:LIMIT|FOR|LOCK)\b.*)?\Z", re.I)
LOCK = re.compile(
    r"\b(?:FOR\s+(?:UPDATE|SHARE)|LOCK\s+IN\s+SHARE\s+MODE)\b(?:\s+(?:SKIP\s+LOCKED|NOWAIT|WAIT\s+\d+))?", re.I
)
NONE = "–"
Line = tuple[str, str, str]  # what, released, edited


@dataclasses.dataclass
class Outcome:
    """What one version of a statement did with one sample."""

    rows: list[Row] = dataclasses.field(default_factory=list)  # of a result, the first of them
    count: int = 0  # all rows of the result, or those that changed
    id: int = 0  # what `returns: id` gives; 0 for the number of a new row, which never comes again
    touched: dict[str, Change] = dataclasses.field(default_factory=dict)  # by table, in which something changed
    reads: int = 0  # rows and index entries
    seconds: float = 0.0
    error: str = ""  # what the server says against it

    @property
    def sees(self) -> bool:
        """Whether it returned or changed a row."""
        return bool(self.count or self.touched)


def order_of(statement: Statement) -> str:
    """Return the ORDER BY of the whole statement, as a text; empty where there is none."""
    found = ORDER.search(effects.outline(statement.body))
    return found[1] if found else ""


def of_headers(released: Statement, edited: Statement) -> list[Line]:
    """Return what the two promise differently, or lock differently."""
    promises = {
        "returns": lambda s: s.returns,
        "parameters": lambda s: ", ".join(sorted(s.params)),
        "columns": lambda s: ", ".join(f"{name} {column}" for name, column in s.columns.items()),
        "changes": lambda s: ", ".join(sorted(s.changes)),
        "cache": lambda s: s.cached or "",
        "timeout": lambda s: f"{s.header.timeout} s" if s.header.timeout else "",
        "order by": order_of,  # that rows come in the same order without it, or without one that tells ties, is chance
        "locks": lambda s: ", ".join(" ".join(lock.upper().split()) for lock in LOCK.findall(effects.bare(s.body))),
    }
    both = [(name, tell(released), tell(edited)) for name, tell in promises.items()]
    return [(name, *_apart(before or NONE, after or NONE)) for name, before, after in both if before != after]


def of_runs(released: Outcome, edited: Outcome, ordered: bool, is_change: bool) -> list[Line]:
    """Return what the two did differently; `ordered`: whether the order of rows counts."""
    if released.error or edited.error:
        fine = "is done"
        return (
            [("", _short(released.error or fine), _short(edited.error or fine))]
            if released.error != edited.error
            else []
        )
    lines: list[Line] = []
    if released.count != edited.count:
        lines.append(("rows changed" if is_change else "rows", str(released.count), str(edited.count)))
    if is_change:
        lines += _of_changes(released, edited)
    else:
        lines += _of_rows(released.rows, edited.rows, ordered)
    return lines


def of_costs(released: Outcome, edited: Outcome) -> list[Line]:
    """Return what the edited version takes more, beyond what is noise."""
    lines = []
    if edited.reads > released.reads * 1.5 + 50:
        lines.append(("rows read", str(released.reads), str(edited.reads)))
    if edited.seconds > released.seconds * 2 + 0.001:
        lines.append(("time", milliseconds(released.seconds), milliseconds(edited.seconds)))
    return lines


def milliseconds(seconds: float) -> str:
    """Return a time as text."""
    return f"{seconds * 1000:.1f} ms"


def _of_rows(released: list[Row], edited: list[Row], ordered: bool) -> list[Line]:
    fewer, more = _left_over(released, edited), _left_over(edited, released)
    lines = list(_paired(fewer, more))
    if ordered and not fewer and not more:
        differ = [place for place, pair in enumerate(zip(released, edited, strict=True)) if not _same(*pair)]
        if differ:
            lines.append(("order", f"{len(differ)} rows stand elsewhere", ""))
            lines += [
                (f"  row {place + 1}", _told(released[place]), _told(edited[place])) for place in differ[:EXAMPLES]
            ]
    return lines


def _left_over(rows: list[Row], others: list[Row]) -> list[Row]:
    """Return the rows that the others have not, as often as they are more."""
    there = collections.Counter(map(_frozen, others))
    left = []
    for row in rows:
        there[_frozen(row)] -= 1
        if there[_frozen(row)] < 0:
            left.append(row)
    return left


def _paired(fewer: list[Row], more: list[Row]) -> Iterator[Line]:
    """Yield lines for rows that only one version returns; for those with the same id, the values that differ."""
    by_id = {row["id"]: row for row in more if "id" in row}
    pairs = [(row, by_id.pop(row["id"])) for row in fewer if row.get("id") in by_id]
    if len(fewer) == len(more) == 1 and not pairs:
        pairs = [(fewer[0], more[0])]
    firsts, seconds = [id(first) for first, _ in pairs], [id(second) for _, second in pairs]
    for before, after in pairs[:EXAMPLES]:
        name = f"row id {before['id']}" if "id" in before else "row"
        yield from _values(name, before, after)
    yield from _more_than(len(pairs), "rows with other values")
    alone = [row for row in fewer if id(row) not in firsts]
    yield from ((("row", _told(row), NONE)) for row in alone[:EXAMPLES])
    yield from _more_than(len(alone), "rows gone")
    alone = [row for row in more if id(row) not in seconds]
    yield from ((("row", NONE, _told(row))) for row in alone[:EXAMPLES])
    yield from _more_than(len(alone), "rows more")


def _more_than(count: int, what: str) -> Iterator[Line]:
    if count > EXAMPLES:
        yield f"… {count} {what}", "", ""


def _values(name: str, before: Row, after: Row) -> Iterator[Line]:
    for column in before.keys() | after.keys():
        if not _same(before.get(column, ...), after.get(column, ...)):
            yield f"{name}: {column}", _value(before.get(column, ...)), _value(after.get(column, ...))


def _of_changes(released: Outcome, edited: Outcome) -> list[Line]:
    lines: list[Line] = []
    if released.id != edited.id:
        lines.append(("id", str(released.id), str(edited.id)))
    for table in sorted(released.touched.keys() | edited.touched.keys()):
        before, after = released.touched.get(table, Change()), edited.touched.get(table, Change())
        found = list(_of_table(table, before, after))
        if found:
            counts = (f"{table} in all", _counts(before), _counts(after))
            lines += [counts, *found[: 2 * EXAMPLES]]
    return lines


def _of_table(table: str, released: Change, edited: Change) -> Iterator[Line]:
    """Yield lines for the rows of one table that became something else."""
    if released.more != edited.more:
        yield f"{table} rows", "more" if released.more else "few", "more" if edited.more else "few"
    for row in _left_over(list(released.added.values()), list(edited.added.values())):
        yield f"{table} added", _told(row), NONE
    for row in _left_over(list(edited.added.values()), list(released.added.values())):
        yield f"{table} added", NONE, _told(row)
    for key in sorted({*released.removed, *released.changed, *edited.removed, *edited.changed}, key=repr):
        first, second = _became(released, key), _became(edited, key)
        if first != second:
            yield f"{table} {' '.join(map(_value, key))}", first, second


def _became(change: Change, key: Any) -> str:
    """Return what became of one row, in words."""
    if key in change.removed:
        return "removed"
    if key not in change.changed:
        return "stays"
    before, after = change.changed[key]
    return ", ".join(
        f"{name} {_value(before[name])} → {_value(after[name])}" for name in after if before[name] != after[name]
    )


def _counts(change: Change) -> str:
    parts = [f"{len(rows)} {what}" for what, rows in vars(change).items() if isinstance(rows, dict) and rows]
    return ("at least " if change.more else "") + (", ".join(parts) or "untouched")


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other if not isinstance(one, dict) else _frozen(one) == _frozen(other)


def _frozen(row: Row) -> tuple[Any, ...]:
    return tuple((name, type(value), value) for name, value in row.items())


def _apart(one: str, other: str) -> tuple[str, str]:
    """Return two texts that differ, from a little before that place on where they are long."""
    if max(len(one), len(other)) <= WIDTH:
        return one, other
    same = next(
        (n for n, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )
    start = max(0, same - 20)
    return tuple(_short(("…" if start else "") + text[start:]) for text in (one, other))  # type: ignore[return-value]


def _told(row: Row) -> str:
    return _short(", ".join(f"{name} {_value(value)}" for name, value in row.items()))


def _value(value: Any) -> str:
    if value is ...:
        return NONE
    text = "NULL" if value is None else repr(value) if isinstance(value, str | bytes | bool) else str(value)
    return _short(text)


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
