"""The samples of a statement's header, with values from the database; and what running one of them does and costs.

Handler_read_… are what a server counts for each session: rows and index entries that it has read, in whatever way. Rows
that MariaDB passes over within the index (index condition pushdown) are counted apart, and added here; MySQL counts
them nowhere.
"""

import dataclasses
import time
from typing import Any

from core.db.database import DatabaseError
from core.db.drivers import number
from core.db.mysql_errors import LOST
from core.db.plan_hints import NO_LIST, Query, Sample
from core.db.session import Row
from core.db.statement import Problem, Statement

FAILURES: tuple[type[Exception], ...] = (*DatabaseError, ValueError)
COUNTED = ("Handler_read_%", "Handler_icp_attempts")


@dataclasses.dataclass(frozen=True)
class Run:
    """What one run of a statement gave."""

    rows: list[Row]  # in their order; none for a statement that changes
    count: int  # of the rows, or of those that it changed
    reads: int  # rows and index entries
    seconds: float


def samples_of(statement: Statement) -> list[Sample]:
    """Return the samples of a statement's header; an empty one where it has no parameters."""
    return statement.samples or [Sample({}, "", statement.first_line)]


def values_of(cursor: Any, statement: Statement, sample: Sample) -> dict[str, Any]:
    """Return {parameter: value} of a sample; the database is asked for values that are queries.

    Raises Problem for a query that gives no value.
    """
    values = dict(sample.values)
    for name, value in values.items():
        if isinstance(value, Query):
            try:
                cursor.execute(value.text)
                found = [value for row in cursor.fetchall() for (value,) in [row.values()]]
            except FAILURES as error:
                raise_if_lost(error)
                what = f"the (SELECT …) of {name} gives no value: {error.args[-1]}"
                raise Problem(statement.path, sample.line, what) from None
            if name in statement.lists:
                values[name] = tuple(found) or NO_LIST
            else:
                values[name] = found[0] if found else None
    return values


def measured(cursor: Any, statement: Statement, values: dict[str, Any]) -> Run:
    """Run a statement in a transaction that is rolled back, and return what it gave and cost.

    Raises DatabaseError. Not for TRUNCATE, which no transaction takes back.
    """
    if statement.body.upper().startswith("TRUNCATE"):
        raise ValueError(f"{statement.path} cannot be taken back")
    cursor.execute("START TRANSACTION")
    try:
        idle, before = reads_of(cursor), reads_of(cursor)
        began = time.perf_counter()
        cursor.execute(statement.text, values)
        rows = list(cursor.fetchall()) if statement.returns in ("one", "many") else []
        seconds = time.perf_counter() - began
        count = len(rows) if statement.returns in ("one", "many") else cursor.rowcount
        reads = reads_of(cursor) - before - (before - idle)  # looking is counted, too
    finally:
        cursor.execute("ROLLBACK")
    return Run(rows, count, reads, seconds)


def reads_of(cursor: Any) -> int:
    """Return how many rows and index entries this session has read so far; asking is counted, too."""
    total = 0
    for pattern in COUNTED:
        cursor.execute("SHOW SESSION STATUS LIKE %s", (pattern,))
        total += sum(int(row["Value"]) for row in cursor.fetchall())
    return total


def raise_if_lost(error: Exception) -> None:
    """Raise an error that says that the connection is gone."""
    if isinstance(error, DatabaseError) and number(error) in LOST:
        raise error
