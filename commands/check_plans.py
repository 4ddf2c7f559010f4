"""The plan of each statement: EXPLAIN with the samples of its header, and what is wrong with the plan.

A plan is wrong where it reads a whole table or index (full scan), sorts (filesort) or stores rows in between (temporary
table), unless the header allows it with a reason; core/db/plan_hints.py says how. Each row of EXPLAIN is judged by its
own table: what is allowed on the rows of a page is not allowed on all products.

These are no full scans: reading what the server has made itself (<derived2>) or a JSON document; reading an index in
its order up to the LIMIT, if no condition skips entries; what EXPLAIN says of INSERT's target; a lookup by a key,
however many rows have that key (see `rows` for that). TRUNCATE has no plan.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any

from core.db.database import DatabaseError
from core.db.drivers import number
from core.db.mysql_errors import LOST
from core.db.plan_hints import NO_LIST, Allowance, Query, Sample
from core.db.session import Row
from core.db.statement import Problem, Statement

FEWEST = 10_000  # products, and orders; with fewer, a server may read a whole table although it has a good index
NO_PLAN = "TRUNCATE"  # neither server explains it; it reads nothing
UNSEEN = re.compile(r"Impossible WHERE|(?:no matching|unique) row", re.I)  # the server decided before it made a plan
LIMIT = re.compile(r"\b(LIMIT|OFFSET)\s+(?:(\d+)|%\((\w+)\)s)", re.I)
NO_LIMIT = 2**63  # LIMIT 18446744073709551615 only keeps a subquery from being merged
NAMED = re.compile(r"\b(?:FROM|JOIN|STRAIGHT_JOIN|UPDATE|INTO)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?", re.I)
MATERIALISED = "Table function: json_table; Using temporary"  # MySQL says this of every document
FAILURES: tuple[type[Exception], ...] = (*DatabaseError, ValueError)


@dataclasses.dataclass
class Report:
    """How many plans there were, what is wrong with them, allowances that none needs, and files without a plan."""

    plans: int = 0
    problems: list[Problem] = dataclasses.field(default_factory=list)
    hints: list[str] = dataclasses.field(default_factory=list)
    unseen: list[str] = dataclasses.field(default_factory=list)


def look(cursor: Any, statements: Iterable[Statement], server: str) -> Report:
    """Explain every statement with every sample of its header; return a Report. Executes none of them.

    (But MySQL, while it explains, reads a subquery in FROM that has at most one row.) `server`: MariaDB or MySQL.
    Raises DatabaseError where the server cannot be reached.
    """
    report = Report()
    for statement in statements:
        if statement.body.upper().startswith(NO_PLAN):
            continue
        try:
            _look(cursor, statement, server, report)
        except Problem as problem:
            report.problems.append(problem)
    return report


def _look(cursor: Any, statement: Statement, server: str, report: Report) -> None:
    """Add the plans of one statement to the report."""
    if statement.params and not statement.samples:
        raise Problem(statement.path, 1, "there is no '-- sample: …' of its parameters to explain it with")
    refused: dict[tuple[str, str], list[tuple[Sample, str | None]]] = {}
    needed: set[Allowance] = set()
    unseen = False
    for sample in samples_of(statement):
        values = values_of(cursor, statement, sample)
        rows = explain(cursor, statement, values)
        report.plans += 1
        unseen |= bool(UNSEEN.search(rows[0]["Extra"] or "")) and not any(row["table"] for row in rows)
        for kind, row in offences(rows, statement, values, server):
            names = names_of(row, statement)
            allowed = {a for a in statement.allowances if a.covers(kind, names, int(row["rows"] or 0), server)}
            needed |= allowed
            if not allowed:
                refused.setdefault((kind, names[0]), []).append((sample, row["key"]))
    report.problems += [_problem(statement, kind, table, cases) for (kind, table), cases in refused.items()]
    if unseen:
        report.unseen.append(statement.path)
        return
    report.hints += [
        f"{statement.path}:{a.line}: no plan needs '{a}' here. Remove it, or say in which server it is needed."
        for a in statement.allowances
        if a not in needed and a.server in (None, server)
    ]


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
                _raise_if_lost(error)
                what = f"the (SELECT …) of {name} gives no value: {error.args[-1]}"
                raise Problem(statement.path, sample.line, what) from None
            if name in statement.lists:
                values[name] = tuple(found) or NO_LIST
            else:
                values[name] = found[0] if found else None
    return values


def explain(cursor: Any, statement: Statement, values: dict[str, Any]) -> list[Row]:
    """Return EXPLAIN's rows, in the form that both servers have; raise Problem for a statement without a plan."""
    try:
        cursor.execute("EXPLAIN FORMAT=TRADITIONAL " + statement.text, values)
    except DatabaseError as error:
        _raise_if_lost(error)
        raise Problem(statement.path, statement.first_line, f"cannot be explained: {error.args[-1]}") from None
    return list(cursor.fetchall())


def _raise_if_lost(error: Exception) -> None:
    if isinstance(error, DatabaseError) and number(error) in LOST:
        raise error


def offences(rows: list[Row], statement: Statement, values: dict[str, Any], server: str) -> Iterator[tuple[str, Row]]:
    """Yield (kind, row) for everything in a plan that the header has to allow."""
    stops_at = _stops_at(statement, values)
    for row in rows:
        extra = row["Extra"] or ""
        if row["select_type"] in ("INSERT", "REPLACE"):
            continue
        made = (row["table"] or "").startswith("<") or "Table function" in extra
        in_order = row["type"] == "index" and "Using where" not in extra and int(row["rows"] or 0) <= stops_at
        whole = row["type"] in ("ALL", "index") and not made and not in_order
        if whole or "Full scan on NULL key" in extra or "Deleting all rows" in extra:
            yield "full scan", row
        if "Using filesort" in extra:
            yield "filesort", row
        rest = extra.replace(MATERIALISED, "", 1) if server == "MySQL" else extra
        if "Using temporary" in rest or "Start temporary" in rest:
            yield "temporary table", row


def _stops_at(statement: Statement, values: dict[str, Any]) -> int:
    """Return how many rows of an index in order the statement's largest LIMIT and OFFSET read."""
    most = {"LIMIT": 0, "OFFSET": 0}
    for word, literal, name in LIMIT.findall(statement.body):
        given = int(literal or values[name] or 0)
        if given < NO_LIMIT:
            most[word.upper()] = max(most[word.upper()], given)
    return sum(most.values())


def names_of(row: Row, statement: Statement) -> list[str]:
    """Return what a header may call the table of a plan's row: its own name first, then its alias."""
    table = row["table"]
    if not table:  # "Deleting all rows"
        return sorted(statement.changes)
    if made := re.match(r"<([a-z]+)", table):
        return [made[1]]
    if "Table function" in (row["Extra"] or ""):
        return ["document", table]
    own = {name for name, alias in NAMED.findall(statement.body) if table in (name, alias)}
    return [own.pop(), table] if len(own) == 1 else [table]


def _problem(statement: Statement, kind: str, table: str, cases: list[tuple[Sample, str | None]]) -> Problem:
    """Return the Problem for one offence; `cases`: (sample, index read) for each sample that shows it."""
    sample, key = cases[0]
    case = f" with the sample {_short(sample.text)}" if sample.text else ""
    more = f" and {len(cases) - 1} more" if len(cases) > 1 else ""
    index = f" (all of {key})" if kind == "full scan" and key else ""
    advice = f"Change the statement or its indexes, or say why it stays cheap: -- allow: {kind} on {table} (…)"
    what = f"{kind} {'of' if kind == 'full scan' else 'on'} {table}{index}{case}{more}. {advice}"
    return Problem(statement.path, sample.line, what)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
