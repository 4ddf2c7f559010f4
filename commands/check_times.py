"""How long each reading statement takes here with the samples of its header: `check --times`."""

import statistics
import time

from commands import check_plans
from core.cli import say
from core.db.database import DatabaseError
from core.db.statement import Problem

TRIES = 5  # of which the median counts; one more comes first, so that what is read is in memory


def report(cursor, statements):
    """Run every statement that only reads, with each of its samples; print the times, the slowest first.

    Whatever changes or locks rows is left out. As the program sees it: with the way there and back, and with turning
    the rows into dicts.
    """
    found = []
    for statement in statements:
        if not statement.reads_only:
            continue
        for sample in statement.samples or [None]:
            try:
                values = check_plans.values_of(cursor, statement, sample)
                found.append((_milliseconds(cursor, statement, values), statement.path, sample.text if sample else ""))
            except (Problem, *DatabaseError) as error:
                say(f"{statement.path} could not be timed: {error}")
    for milliseconds, path, sample in sorted(found, reverse=True):
        say(f"{milliseconds:9.2f} ms  {path}  {sample}".rstrip())


def _milliseconds(cursor, statement, values):
    times = []
    for _ in range(TRIES + 1):
        began = time.perf_counter()
        cursor.execute(statement.text, values)
        cursor.fetchall()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:]) * 1000
