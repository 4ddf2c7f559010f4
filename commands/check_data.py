"""Invariants of the data: `check --data` runs the files of checks/, of which every row is a violation.

All of them see the same moment (a consistent snapshot, in a transaction that only reads), so that a shop which sells
meanwhile gives no false alarm: what belongs together is stored together. They lock nothing.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from core.cli import say
from core.database_url import DatabaseUrl
from core.db.drivers import connect
from core.db.session import Row
from core.db.statement import Statement

TIMEOUT = 600  # seconds for one file
SHOWN = 10  # violations of one file
MOST = 1000  # that are counted; a file ends with LIMIT 1001
LONGEST = 60  # characters of a value


def report(url: DatabaseUrl, checks: Iterable[Statement]) -> int:
    """Print the violations, at most SHOWN of a file, under what it says of them; return the exit status."""
    wrong = looked = 0
    for check, rows in violations(url, checks):
        looked += 1
        if rows:
            wrong += 1
            say(f"{check.path}: {len(rows) if len(rows) <= MOST else f'more than {MOST}'} found. {check.header.title}")
            for row in rows[:SHOWN]:
                say("    " + ", ".join(f"{name}={_short(value)}" for name, value in row.items()))
            if len(rows) > SHOWN:
                say("    …")
    say(f"{looked} checks of the data at {url.place}: {f'{wrong} found something.' if wrong else 'all right.'}")
    return 1 if wrong else 0


def violations(url: DatabaseUrl, checks: Iterable[Statement]) -> Iterator[tuple[Statement, list[Row]]]:
    """Yield each check with the rows that it finds, all of the same moment. Raises DatabaseError."""
    with snapshot(url) as cursor:
        for check in checks:
            cursor.execute(check.text, {})
            yield check, list(cursor.fetchall())


@contextlib.contextmanager
def snapshot(url: DatabaseUrl) -> Iterator[Any]:
    """Give a cursor that sees one moment of the database, and can change nothing."""
    with contextlib.closing(connect(url, 10, TIMEOUT)) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        yield cursor


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
