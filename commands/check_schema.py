"""What a schema has, as far as plans depend on it: how many rows each table has, and its indexes."""

from typing import Any

FEW = 10  # rows: with fewer, all plans are equally good
FRESH = "SET SESSION information_schema_stats_expiry = 0"  # or MySQL says what it knew a day ago


class Schema:
    """The schema of a connection, when it is made. `server`: MariaDB or MySQL. `indexes`: (table, index) for each."""

    def __init__(self, cursor: Any, server: str) -> None:
        if server == "MySQL":
            cursor.execute(FRESH)
        cursor.execute("SHOW TABLE STATUS")
        self._rows = {row["Name"]: int(row["Rows"] or 0) for row in cursor.fetchall()}
        for table, rows in self._rows.items():
            if rows >= FEW:  # by estimate, which still has rows that were rolled back: check --compare adds some
                cursor.execute(f"SELECT COUNT(*) AS n FROM (SELECT 1 FROM `{table}` LIMIT {FEW}) AS some")
                self._rows[table] = min(rows, cursor.fetchone()["n"])
        self.indexes: set[tuple[str, str]] = set()
        for table in self._rows:
            cursor.execute(f"SHOW INDEX FROM `{table}`")
            self.indexes |= {(table, row["Key_name"]) for row in cursor.fetchall()}

    def has_few(self, table: str) -> bool:
        """Whether a table has fewer than FEW rows; False for what the server makes itself."""
        return self._rows.get(table, FEW) < FEW
