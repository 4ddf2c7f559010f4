"""How many rows a table has, or a statement reads: counted where they are few, and else about."""

from collections.abc import Iterable
from typing import Any

from core.db import effects
from core.db.drivers import DatabaseError, number

LARGE = 100_000  # rows; writers may wait for a change of a table up to this size
UNKNOWN_VARIABLE = 1193
ABOUT = (
    "SELECT table_name AS name, table_rows AS about FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
)


class Rows:
    """The rows of a database's tables; `about` has the server's estimates."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        try:
            cursor.execute("SET SESSION information_schema_stats_expiry = 0")  # MySQL's are a day old by default
        except DatabaseError as error:
            if number(error) != UNKNOWN_VARIABLE:
                raise
        cursor.execute(ABOUT)
        self.about = {row["name"]: int(row["about"] or 0) for row in cursor.fetchall()}

    def of(self, table: str) -> tuple[int, bool]:
        """Return (rows, whether they were counted); counting up to LARGE takes some ten milliseconds."""
        self.cursor.execute(f"SELECT COUNT(*) AS n FROM (SELECT 1 FROM `{table}` LIMIT {LARGE + 1}) AS some")
        counted = self.cursor.fetchone()["n"]
        return (counted, True) if counted <= LARGE else (max(counted, self.about[table]), False)

    def most(self, tables: Iterable[str]) -> tuple[int, bool]:
        """Return the rows of the largest of these tables, as `of`; (0, True) where there is none."""
        return max((self.of(table) for table in tables), default=(0, True))

    def named(self, text: str) -> list[str]:
        """Return the tables that a text names, wherever."""
        words = {token[0].strip("`") for token in effects.TOKEN.finditer(text) if token.lastgroup in ("word", "name")}
        return sorted(words & self.about.keys())

    def read_by(self, statement: str) -> int | None:
        """Return about how many rows a statement reads; None where it does not fit the tables as they are."""
        try:
            self.cursor.execute(f"EXPLAIN FORMAT=TRADITIONAL {statement}")
        except DatabaseError:
            return None
        return max((int(row["rows"] or 0) for row in self.cursor.fetchall()), default=0)
