"""How long each reading statement takes here with the samples of its header: `check --times`."""

import statistics
import time
from typing import Any

from commands.check_samples import samples_of, values_of
from core.cli import say
from core.db.database import DatabaseError
from core.db.statement import Problem, Statement

FAILURES: tuple[type[Exception], ...] = (Problem, *DatabaseError)
TRIES = 5  # the median counts; one run before them reads the rows into memory


def report(cursor: Any, statements: list[Statement]) -> None:
    """Run every statement that only reads, with each of its samples; print the times, the slowest first.

    Statements that change or lock rows are left out. A time is what the program waits: with the round trip, and with
    making dicts of the rows.
    """
    found = []
    for statement in statements:
        if not statement.reads_only:
            continue
        for sample in samples_of(statement):
            try:
                values = values_of(cursor, statement, sample)
                found.append((_milliseconds(cursor, statement, values), statement.path, sample.text))
            except FAILURES as error:
                say(f"{statement.path} could not be timed: {error}")
    for milliseconds, path, text in sorted(found, reverse=True):
        say(f"{milliseconds:9.2f} ms  {path}  {text}".rstrip())


def _milliseconds(cursor: Any, statement: Statement, values: dict[str, Any]) -> float:
    times = []
    for _ in range(TRIES + 1):
        began = time.perf_counter()
        cursor.execute(statement.text, values)
        cursor.fetchall()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:]) * 1000
