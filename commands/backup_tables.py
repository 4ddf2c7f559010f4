"""Tables as files: for each `NAME.sql`, which makes it, and `NAME.txt.gz`, its rows.

The database itself writes and reads the rows (SELECT … INTO OUTFILE, LOAD DATA INFILE), in a folder of its own: it may
not be allowed to write to that of the backup. Bytes stay as they are (CHARACTER SET binary), times are UTC.
"""

import contextlib
import gzip
import pathlib
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from core.cli import CommandError
from core.database_url import DatabaseUrl
from core.db.drivers import connect
from core.db.migrator import ALL_WORDS, LONGEST_STATEMENT

TABLES = (
    "SELECT table_name AS name, data_length AS size FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name"
)
COLUMNS = (  # what is generated the server computes again
    "SELECT column_name AS name FROM information_schema.columns "
    "WHERE table_schema = DATABASE() AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position"
)
FULLTEXT = re.compile(r",\n +(FULLTEXT KEY .+?)(?=,?\n)")  # a line of SHOW CREATE TABLE
AT_ONCE = 2  # tables that are loaded at once; the database uses a core for each


@contextlib.contextmanager
def snapshot(url: DatabaseUrl) -> Iterator[Any]:
    """Give a cursor that sees one moment of the database. Raises DatabaseError."""
    with contextlib.closing(connect(url, 10, LONGEST_STATEMENT)) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SET SESSION sql_log_bin = OFF")  # or a savepoint would give no lock on a table back
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        yield cursor


def dump(cursor: Any, scratch: pathlib.Path, folder: pathlib.Path) -> Iterator[tuple[str, int]]:
    """Write all tables to `folder`, as this cursor's snapshot sees them; yield each one's name and number of rows.

    `scratch`: a folder that the database writes to; it needs room for the largest table. Raises DatabaseError; 1412
    where a table was changed since the snapshot.
    """
    cursor.execute(TABLES)
    tables = cursor.fetchall()
    needed = max((row["size"] for row in tables), default=0)
    if shutil.disk_usage(scratch).free < needed + (256 << 20):
        raise CommandError(f"The disk of {scratch} needs {needed >> 20} MiB of room, and some more. Make room there.")
    for table in (row["name"] for row in tables):
        cursor.execute("SAVEPOINT table_done")
        cursor.execute(f"SHOW CREATE TABLE `{table}`")
        (folder / f"{table}.sql").write_text(cursor.fetchone()["Create Table"] + "\n")
        raw = scratch / f"{table}.txt"
        cursor.execute(
            f"SELECT {_columns(cursor, table)} INTO OUTFILE %s CHARACTER SET binary FROM `{table}`", (str(raw),)
        )
        rows = cursor.rowcount
        cursor.execute("ROLLBACK TO SAVEPOINT table_done")  # who wants to alter the table waits no longer
        pack(raw, folder / f"{table}.txt.gz")
        raw.unlink()
        yield table, rows


def load(url: DatabaseUrl, folder: pathlib.Path, scratch: pathlib.Path, rows: dict[str, int]) -> None:
    """Make and fill the tables of `rows` (name → number of rows) in an empty database, from what `dump` wrote.

    Raises DatabaseError, and CommandError where other numbers of rows arrive.
    """

    def fill(table: str) -> None:
        with contextlib.closing(connect(url, 10, LONGEST_STATEMENT)) as connection, connection.cursor() as cursor:
            cursor.execute(ALL_WORDS)
            # Without checks InnoDB sorts the entries of each index and builds it in one go.
            cursor.execute("SET SESSION foreign_key_checks = OFF, unique_checks = OFF")
            cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')")
            made = (folder / f"{table}.sql").read_text()
            cursor.execute(FULLTEXT.sub("", made))
            raw = scratch / f"{table}.txt"
            unpack(folder / f"{table}.txt.gz", raw)
            columns = _columns(cursor, table)
            cursor.execute(f"LOAD DATA INFILE %s INTO TABLE `{table}` CHARACTER SET binary ({columns})", (str(raw),))
            raw.unlink()
            if cursor.rowcount != rows[table]:
                raise CommandError(f"{table}: {cursor.rowcount} rows were restored, of {rows[table]}.")
            for index in FULLTEXT.findall(made):
                cursor.execute(f"ALTER TABLE `{table}` ADD {index}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        largest_first = sorted(rows, key=lambda table: -(folder / f"{table}.txt.gz").stat().st_size)
        for _ in pool.map(fill, largest_first):
            pass


def _columns(cursor: Any, table: str) -> str:
    cursor.execute(COLUMNS, (table,))
    return ", ".join(f"`{row['name']}`" for row in cursor.fetchall())


def pack(source: pathlib.Path, target: pathlib.Path) -> None:
    """Compress a file."""
    with source.open("rb") as plain, gzip.open(target, "wb", compresslevel=1) as packed:
        shutil.copyfileobj(plain, packed, 1 << 20)


def unpack(source: pathlib.Path, target: pathlib.Path) -> None:
    """Write what `pack` has compressed."""
    with gzip.open(source) as packed, target.open("wb") as plain:
        shutil.copyfileobj(packed, plain, 1 << 20)
