"""What a header promises of all its samples: `index:`, `reads:` and `rows:`. `check --plans` proves it.

An index is looked for in the plan. For the other two the samples are run, in a transaction that is rolled back.
"""

from collections.abc import Iterator
from typing import Any

from commands.check_decisions import of_table
from commands.check_plans import Explained, Report, short
from commands.check_samples import measured, raise_if_lost
from commands.check_schema import Schema
from core.db.database import DatabaseError
from core.db.statement import Problem

MOST_CHANGED = 10_000  # rows, by the server's estimate; a change of more is not made only to measure it


def broken(cursor: Any, report: Report, schema: Schema) -> list[Problem]:
    """Return a Problem for each promise that a sample breaks; one for each kind and file, at its line."""
    problems: dict[tuple[str, str], Problem] = {}
    for explained in report.plans:
        header = explained.statement.header
        for key, what in (*_by_another_index(explained, schema), *_too_many(cursor, explained)):
            case = f" with the sample {short(explained.sample.text)}" if explained.sample.text else ""
            problem = Problem(explained.statement.path, header.line(key), f"'{key}: {header.said(key)}': {what}{case}")
            problems.setdefault((explained.statement.path, key), problem)
    return list(problems.values())


def _by_another_index(explained: Explained, schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield ("index", what is wrong) for each table that is not read by an index that the header names for it."""
    for table, allowed in explained.statement.header.indexes:
        for step in of_table(explained.decision, table):
            if not set(step.key.split("+")) <= set(allowed) and not schema.has_few(table):
                yield "index", f"{table} {step}"


def _too_many(cursor: Any, explained: Explained) -> Iterator[tuple[str, str]]:
    """Yield (key, what is wrong) where a sample reads or returns more rows than its header says."""
    statement, header = explained.statement, explained.statement.header
    if header.reads is None and header.rows is None:
        return
    if not statement.reads_only and explained.estimate > MOST_CHANGED:
        yield "reads", f"the server expects to read {explained.estimate} rows to change some"
        return
    try:
        run = measured(cursor, statement, explained.values)
    except DatabaseError as error:
        raise_if_lost(error)
        yield "reads" if header.reads is not None else "rows", f"it cannot be measured ({error.args[-1]})"
        return
    if header.reads is not None and run.reads > header.reads:
        yield "reads", f"{run.reads} are read"
    if header.rows is not None and run.count > header.rows:
        yield "rows", f"there are {run.count}"
