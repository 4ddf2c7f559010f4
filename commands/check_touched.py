"""Which rows a statement has changed, and how they look now: tables are compared before and after, in one transaction.

Every row of a table counts into one of 1024 sums; where a sum changes, its rows are read and compared one by one. So
nothing that a statement does is overlooked, whatever its WHERE says and whatever follows by ON DELETE CASCADE, and no
table is held in memory. What it costs: a pass through each table for each run, 3 s for a million products.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable
from typing import Any

from core.db.session import Row

BUCKETS = 1024
MOST = 5000  # rows that are read and compared; of a table of which more have changed, some are
FOLLOWS = re.compile(r"REFERENCES `(\w+)` .*\bON DELETE (?:CASCADE|SET NULL)")
Key = tuple[Any, ...]
Sums = dict[int, tuple[int, Any]]  # bucket → how many rows it has, and their sum


@dataclasses.dataclass
class Change:
    """What became of the rows of one table."""

    added: dict[Key, Row] = dataclasses.field(default_factory=dict)  # without their numbers, which never come again
    removed: dict[Key, Row] = dataclasses.field(default_factory=dict)
    changed: dict[Key, tuple[Row, Row]] = dataclasses.field(default_factory=dict)  # before, after
    numbers: frozenset[int] = frozenset()  # AUTO_INCREMENT's, of the rows that were added
    more: bool = False  # than those that were compared


class Table:
    """One table; its names come from the server, and are quoted."""

    def __init__(self, cursor: Any, name: str) -> None:
        cursor.execute(f"SHOW COLUMNS FROM `{name}`")
        columns = list(cursor.fetchall())
        self.name = name
        self.key = [column["Field"] for column in columns if column["Key"] == "PRI"]
        self.counter = next((column["Field"] for column in columns if "auto_increment" in column["Extra"]), None)
        parts = [f"CAST(`{column['Field']}` AS BINARY)" for column in columns]
        parts += [f"ISNULL(`{column['Field']}`)" for column in columns if column["Null"] == "YES"]
        self._bucket = f"CRC32(CONCAT_WS('#', {', '.join(f'`{name}`' for name in self.key)})) MOD {BUCKETS}"
        self._sum = f"CRC32(CONCAT_WS('#', {', '.join(parts)}))"
        self._columns = ", ".join(f"`{column['Field']}`" for column in columns)
        cursor.execute(f"SHOW CREATE TABLE `{name}`")
        (made,) = [row["Create Table"] for row in cursor.fetchall()]
        self.follows = set(FOLLOWS.findall(made))  # tables: rows of theirs that go take rows of this one along

    def sums(self, cursor: Any) -> Sums:
        """Return the sums of all rows, as this transaction sees them."""
        cursor.execute(
            f"SELECT {self._bucket} AS bucket, COUNT(*) AS n, SUM({self._sum}) AS total "
            f"FROM `{self.name}` GROUP BY bucket"
        )
        return {row["bucket"]: (row["n"], row["total"]) for row in cursor.fetchall()}

    def rows(self, cursor: Any, buckets: Iterable[int]) -> dict[Key, Row]:
        """Return the rows of some buckets by their keys."""
        wanted = ", ".join(map(str, sorted(buckets)))
        cursor.execute(f"SELECT {self._columns} FROM `{self.name}` WHERE {self._bucket} IN ({wanted})")
        return {tuple(row[name] for name in self.key): row for row in cursor.fetchall()}


class Touched:
    """Compares tables before and after what is done between `before` and `after`. `all_tables`: the shop's, by name."""

    def __init__(self, cursor: Any, all_tables: Iterable[str]) -> None:
        self._cursor = cursor
        self._names = sorted(all_tables)

    @functools.cached_property
    def _tables(self) -> dict[str, Table]:
        return {name: Table(self._cursor, name) for name in self._names}

    def tables(self, changed: Iterable[str]) -> list[Table]:
        """Return these tables, and those of which rows go or change when a row of these is removed."""
        found, ahead = set(), set(changed)
        while ahead:
            found |= ahead
            ahead = {name for name, table in self._tables.items() if table.follows & ahead} - found
        return [self._tables[name] for name in sorted(found)]

    def sums(self, tables: Iterable[Table]) -> dict[str, Sums]:
        """Return the sums of these tables, as they are now."""
        return {table.name: table.sums(self._cursor) for table in tables}

    def buckets(self, before: Sums, after: Sums) -> tuple[set[int], bool]:
        """Return buckets whose sums differ, with MOST rows at the most, and whether there are more."""
        differ = sorted(bucket for bucket in before.keys() | after.keys() if before.get(bucket) != after.get(bucket))
        chosen: set[int] = set()
        rows = 0
        for bucket in differ:
            rows += max(before.get(bucket, (0, 0))[0], after.get(bucket, (0, 0))[0])
            if chosen and rows > MOST:
                return chosen, True
            chosen.add(bucket)
        return chosen, False

    def rows(self, table: Table, buckets: set[int]) -> dict[Key, Row]:
        """Return the rows of these buckets, as they are now."""
        return table.rows(self._cursor, buckets) if buckets else {}


def change(table: Table, before: dict[Key, Row], after: dict[Key, Row], more: bool) -> Change:
    """Return what became of these rows."""
    added = {key: row for key, row in after.items() if key not in before}
    return Change(
        {key: {name: row[name] for name in row if name != table.counter} for key, row in added.items()},
        {key: row for key, row in before.items() if key not in after},
        {key: (before[key], row) for key, row in after.items() if key in before and row != before[key]},
        frozenset(row[table.counter] for row in added.values() if table.counter),
        more,
    )
