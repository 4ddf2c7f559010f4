"""Binary logs: what the embedded database has changed since a backup, one transaction after the other.

MariaDB itself runs them when they are restored, as if it were a replica that has fetched them already. Only where they
end is decided here, by the heads of their events (mariadb.com/kb/en/2-binlog-event-header), so that neither
mariadb-binlog nor another package is needed.

The time of a transaction is the second in which its COMMIT arrived. They stand in the order in which they were stored,
and a client hears of one after that. So the logs up to the first transaction of a later second have all that was
acknowledged up to that second, and none that came later. Where the clock was set back, that first one counts.
"""

import contextlib
import mmap
import pathlib
import struct
import time
from collections.abc import Iterator
from typing import Any

from core.cli import CommandError
from core.database_url import DatabaseUrl
from core.db.drivers import connect
from core.db.owner import STATEMENT_TIMEOUT

HEAD = struct.Struct("<IBIIIH")  # when (seconds), kind, server, length, end, flags
FIRST = 4  # bytes in front of the first event
QUERY, XID, BEGINS = 2, 16, 162  # kinds: a statement; COMMIT; the first event of a transaction, MariaDB's GTID
MOST = 1 << 30  # bytes of all logs that `purge` leaves; they go after three days, too
UNLOGGED = ("--skip-log-bin", "--innodb-flush-log-at-trx-commit=0")  # options of a server that keeps none
REPLAY = (  # options of a server that runs logs
    "--skip-log-bin",
    "--server-id=2",  # a server skips what has its own number
    "--relay-log=relay",
    "--skip-slave-start",
    "--replicate-wild-do-table=shop.%",  # not the scratch databases of `check`, of which a backup has nothing
    "--innodb-ft-enable-stopword=OFF",  # an index that a migration makes has all words here, too
    "--innodb-flush-log-at-trx-commit=0",  # what is half restored is thrown away anyway
)


def cut(path: pathlib.Path, until: int | None) -> tuple[int, bool]:
    """Return how many bytes of a log to run, and whether it has transactions after `until` (seconds since 1970).

    What a killed database has begun to write at its end does not count.
    """
    end = position = FIRST
    is_open = False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
        while position + HEAD.size <= len(log):
            when, kind, _, length, _, _ = HEAD.unpack_from(log, position)
            if length < HEAD.size or position + length > len(log):
                break
            if kind == BEGINS:
                if until is not None and when > until:
                    return position, True
                is_open = True
            elif kind in (QUERY, XID):
                is_open = False
            position += length
            if not is_open:
                end = position
    return end, False


def finish(url: DatabaseUrl) -> list[str]:
    """Let the server begin a new log; return the names of the others, the oldest first, which change no more."""
    with contextlib.closing(connect(url, 10, STATEMENT_TIMEOUT)) as connection, connection.cursor() as cursor:
        cursor.execute("FLUSH BINARY LOGS")
        return [name for name, _ in _all(cursor)[:-1]]


def _all(cursor: Any) -> list[tuple[str, int]]:
    """Return name and size of each log, the oldest first."""
    cursor.execute("SHOW BINARY LOGS")
    return [(row["Log_name"], row["File_size"]) for row in cursor.fetchall()]


def purge(url: DatabaseUrl, most: int = MOST) -> int:
    """Remove the oldest logs of the server until the others have `most` bytes or less; return how many were removed.

    Those stay that the server itself still needs: the one it writes to, and for a moment some before it.
    """
    with contextlib.closing(connect(url, 10)) as connection, connection.cursor() as cursor:
        logs = _all(cursor)
        total = sum(size for _, size in logs)
        keep = 0
        while total > most and keep < len(logs) - 1:
            total -= logs[keep][1]
            keep += 1
        cursor.execute("PURGE BINARY LOGS TO %s", (logs[keep][0],))
        return len(logs) - len(_all(cursor))


def run(url: DatabaseUrl, logs: list[pathlib.Path], position: int) -> Iterator[str]:
    """Let a server that was started with REPLAY run these logs, the first from `position`; yield those it has done.

    They lie in its folder and stand in relay.index. Raises CommandError with its words where one cannot be run.
    """
    ends = [(path.name, path.stat().st_size) for path in logs]
    with contextlib.closing(connect(url, 10, STATEMENT_TIMEOUT)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CHANGE MASTER TO MASTER_HOST = 'nowhere', MASTER_USE_GTID = no, RELAY_LOG_FILE = %s, RELAY_LOG_POS = %s",
            (ends[0][0], position),
        )
        cursor.execute("START SLAVE SQL_THREAD")
        at = ends[0][0]
        while True:
            cursor.execute("SHOW SLAVE STATUS")
            row = cursor.fetchone()
            if row["Last_SQL_Errno"] or row["Slave_SQL_Running"] == "No":
                raise CommandError(
                    f"{row['Relay_Log_File']} cannot be run: {row['Last_SQL_Error'] or 'it was stopped'}"
                )
            if row["Relay_Log_File"] != at:
                yield at
                at = row["Relay_Log_File"]
            if (row["Relay_Log_File"], row["Relay_Log_Pos"]) >= ends[-1]:
                break
            time.sleep(0.05)
        cursor.execute("STOP SLAVE")
        cursor.execute("RESET SLAVE ALL")
