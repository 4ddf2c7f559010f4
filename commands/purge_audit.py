"""Old entries of the audit trail: `server.py purge` archives them as CSV files, and then removes them.

    DATA_DIR/audit/audit-1-10000.csv      the entries 1 to 10000, as the table had them; for this user alone

Only what stands in a finished file is removed: killed in between, entries are in a file and still in the table, and the
next run stores them again. No file is ever written over. The account that serves may not remove entries, so whoever
owns the database does this.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from itertools import count, takewhile
from typing import Any

from commands.backup_folder import sync
from core.cli import tell
from core.contract.csv_table import pieces
from core.db.database import Database, DatabaseError, Session
from core.db.drivers import number
from core.db.mysql_errors import DENIED
from core.db.session import Row
from core.errors import ApiError

COLUMNS = (
    *("id", "created_at", "user_id", "user_name", "entity", "entity_id", "action"),
    *("before_state", "after_state"),
)
BATCH = 500  # entries in one transaction
MOST = 10_000  # in one file
NOT_ALLOWED = (
    "The audit trail has entries that are older than AUDIT_TTL, and this account has no right to remove any, "
    "as it should be. Type server.py purge with a DATABASE_URL whose account may: it archives them first."
)
DUE = "The audit trail has entries that are older than AUDIT_TTL. To archive and remove them: python3 server.py purge"


def due(database: Database, age: int) -> bool:
    """Whether the oldest entry is older than so many seconds."""
    return any(row["is_old"] for row in _oldest(database, 0, age, 1))


def archive(database: Database, folder: pathlib.Path, age: int) -> int | None:
    """Archive and remove the entries that are older than `age` seconds; return how many.

    None: some are, and this account may not remove them. Raises as Database.transaction does, and OSError.
    """
    if not due(database, age):
        return 0
    try:
        _remove(database, (0,))
    except ApiError as error:
        if isinstance(error.__cause__, DatabaseError) and number(error.__cause__) in DENIED:
            return None
        raise
    removed = 0
    while ids := _stored(database, folder, age):
        for start in range(0, len(ids), BATCH):
            removed += _remove(database, tuple(ids[start : start + BATCH]))
        tell(f"{removed} audit entries archived in {folder} …")
    return removed


def _stored(database: Database, folder: pathlib.Path, age: int) -> list[int]:
    """Write the oldest entries to a file; return their ids once the file will survive a power cut."""
    ids: list[int] = []
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = folder / f"unfinished-{os.getpid()}.csv"
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for piece in pieces(COLUMNS, _batches(database, age, ids)):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if ids:
            _named(unfinished, f"audit-{ids[0]}-{ids[-1]}")
            sync(folder)
    finally:
        unfinished.unlink(missing_ok=True)
    return ids


def _named(unfinished: pathlib.Path, name: str) -> None:
    """Give a file its name; with a number behind it where there is one already, which is never written over.

    That one may be of a purge that runs beside this one and has removed some of the entries in between, or of an older
    database whose ids were the same.
    """
    for again in count(1):
        path = unfinished.with_name(f"{name}-{again}.csv" if again > 1 else f"{name}.csv")
        with contextlib.suppress(FileExistsError):
            os.link(unfinished, path)
            return


def _batches(database: Database, age: int, ids: list[int]) -> Iterator[list[list[Any]]]:
    """Yield the cells of old entries, the oldest first, at most MOST; add their ids to `ids`."""
    while len(ids) < MOST:
        rows = _oldest(database, ids[-1] if ids else 0, age, BATCH)
        old = list(takewhile(lambda row: row["is_old"], rows))
        ids += [row["id"] for row in old]
        yield [[row[name] for name in COLUMNS] for row in old]
        if len(old) < BATCH:
            return


def _oldest(database: Database, after_id: int, age: int, limit: int) -> list[Row]:
    return database.transaction(lambda db: db.many("audit/oldest", after_id=after_id, age=age, limit=limit))


def _remove(database: Database, ids: tuple[int, ...]) -> int:
    def remove(db: Session) -> int:
        return db.run("audit/purge", ids=ids)

    return database.transaction(remove)
