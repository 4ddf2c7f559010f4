"""Give back the room that removed rows have left: what `purge` removes stays as free pages in a table's file.

The table is built anew beside the old one, while it is read and written (ALGORITHM=INPLACE, LOCK=NONE); a table with a
full-text index cannot be, and is left to `optimize` itself.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from core.database_url import DatabaseUrl
from core.db.drivers import connect
from core.db.migrator import LONGEST_STATEMENT

LEAST = 64 << 20  # bytes that are free
SHARE = 0.5  # of all that the table has, which are free at least
# What is free is per table, as innodb_file_per_table is on in both servers unless it was turned off.
WASTEFUL = (
    "SELECT t.table_name AS name, t.data_free AS free FROM information_schema.tables AS t "
    "WHERE t.table_schema = DATABASE() AND t.engine = 'InnoDB' AND t.data_free >= %(least)s "
    "AND t.data_free >= %(share)s * (t.data_length + t.index_length + t.data_free) "
    "AND NOT EXISTS (SELECT 1 FROM information_schema.statistics AS s WHERE s.table_schema = t.table_schema "
    "AND s.table_name = t.table_name AND s.index_type = 'FULLTEXT') ORDER BY t.table_name"
)
REBUILD = "ALTER TABLE `{}` FORCE, ALGORITHM=INPLACE, LOCK=NONE"


def give_back(url: DatabaseUrl) -> Iterator[tuple[str, int]]:
    """Rebuild each table that is half empty, one after the other; yield its name and how many bytes were free."""
    with (
        contextlib.closing(connect(url, 10, statement_timeout=LONGEST_STATEMENT)) as connection,
        connection.cursor() as cursor,
    ):
        for name, free in _wasteful(cursor):
            cursor.execute(REBUILD.format(name))
            yield name, free


def _wasteful(cursor: Any) -> list[tuple[str, int]]:
    if "MariaDB" not in cursor.connection.get_server_info():  # MySQL would say what it knew yesterday
        cursor.execute("SET SESSION information_schema_stats_expiry = 0")
    cursor.execute(WASTEFUL, {"least": LEAST, "share": SHARE})
    return [(row["name"], row["free"]) for row in cursor.fetchall()]
