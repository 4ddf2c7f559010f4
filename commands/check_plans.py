"""The plan of each statement: EXPLAIN with the samples of its header, and what is wrong with the plan.

A plan is wrong where it reads a whole table or index (full scan), sorts (filesort) or stores rows in between (temporary
table), unless the header allows it with a reason; core/db/plan_hints.py says how. Each row of EXPLAIN is judged by its
own table: what is allowed on the rows of a page is not allowed on all products.

These are no full scans: reading what the server has made itself (<derived2>) or a JSON document; reading an index in
its order up to the LIMIT, if no condition skips entries, or only those at the end of a range of that index; what
EXPLAIN says of INSERT's target; a lookup by a key, however many rows have that key (see `rows` for that). A table of
fewer than ten rows is not judged: there, a server takes any way. TRUNCATE has no plan.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any

from commands.check_decisions import decision, names_of, stores_rows
from commands.check_samples import raise_if_lost, samples_of, values_of
from commands.check_schema import Schema
from core.db.database import DatabaseError
from core.db.plan_hints import Allowance, Sample
from core.db.session import Row
from core.db.statement import Problem, Statement

FEWEST = 10_000  # products, and orders; with fewer, a server may read a whole table although it has a good index
NO_PLAN = "TRUNCATE"  # neither server explains it; it reads nothing
UNSEEN = re.compile(r"Impossible WHERE|(?:no matching|unique) row", re.I)  # the server decided before it made a plan
LIMIT = re.compile(r"\b(LIMIT|OFFSET)\s+(?:(\d+)|%\((\w+)\)s)", re.I)
NO_LIMIT = 2**63  # LIMIT 18446744073709551615 only keeps a subquery from being merged


@dataclasses.dataclass(frozen=True)
class Explained:
    """One sample of a statement, its values, and what the server decided for it.

    `estimate`: how many rows of one table the server expects to read, at the most.
    """

    statement: Statement
    sample: Sample
    values: dict[str, Any]
    decision: str
    estimate: int


@dataclasses.dataclass
class Report:
    """The plans, what is wrong with them, allowances that none needs, and files whose plans say nothing here."""

    plans: list[Explained] = dataclasses.field(default_factory=list)
    problems: list[Problem] = dataclasses.field(default_factory=list)
    hints: list[str] = dataclasses.field(default_factory=list)
    unseen: set[str] = dataclasses.field(default_factory=set)


def look(cursor: Any, statements: Iterable[Statement], server: str) -> Report:
    """Explain every statement with every sample of its header; return a Report. Executes none of them.

    (But MySQL, while it explains, reads a subquery in FROM that has at most one row.) `server`: MariaDB or MySQL.
    Raises DatabaseError where the server cannot be reached.
    """
    report, schema = Report(), Schema(cursor, server)
    for statement in statements:
        if statement.body.upper().startswith(NO_PLAN):
            continue
        try:
            _look(cursor, statement, server, report, schema)
        except Problem as problem:
            report.problems.append(problem)
    return report


def _look(cursor: Any, statement: Statement, server: str, report: Report, schema: Schema) -> None:
    """Add the plans of one statement to the report."""
    if statement.params and not statement.samples:
        raise Problem(statement.path, 1, "there is no '-- sample: …' of its parameters to explain it with")
    refused: dict[tuple[str, str], list[tuple[Sample, str | None]]] = {}
    needed: set[Allowance] = set()
    unseen, small = True, False
    for sample in samples_of(statement):
        values = values_of(cursor, statement, sample)
        rows = explain(cursor, statement, values)
        estimate = max(int(row["rows"] or 0) for row in rows)
        report.plans.append(Explained(statement, sample, values, decision(rows, statement, server), estimate))
        unseen &= bool(UNSEEN.search(rows[0]["Extra"] or "")) and not any(row["table"] for row in rows)
        for kind, row in offences(rows, statement, values, server):
            names = names_of(row, statement)
            allowed = {a for a in statement.allowances if a.covers(kind, names, int(row["rows"] or 0), server)}
            needed |= allowed
            if not allowed and schema.has_few(names[0]):
                small = True
            elif not allowed:
                refused.setdefault((kind, names[0]), []).append((sample, row["key"]))
    report.problems += [_problem(statement, kind, table, cases) for (kind, table), cases in refused.items()]
    if unseen or small:
        report.unseen.add(statement.path)
        return
    report.hints += [
        f"{statement.path}:{a.line}: no plan needs '{a}' here. Remove it, or say in which server it is needed."
        for a in statement.allowances
        if a not in needed and a.server in (None, server)
    ]


def explain(cursor: Any, statement: Statement, values: dict[str, Any]) -> list[Row]:
    """Return EXPLAIN's rows, in the form that both servers have; raise Problem for a statement without a plan."""
    try:
        cursor.execute(f"EXPLAIN FORMAT=TRADITIONAL {statement.body}", values)
    except DatabaseError as error:
        raise_if_lost(error)
        raise Problem(statement.path, statement.first_line, f"cannot be explained: {error.args[-1]}") from None
    return list(cursor.fetchall())


def offences(rows: list[Row], statement: Statement, values: dict[str, Any], server: str) -> Iterator[tuple[str, Row]]:
    """Yield (kind, row) for everything in a plan that the header has to allow."""
    stops_at = _stops_at(statement, values)
    for row in rows:
        extra = row["Extra"] or ""
        if row["select_type"] in ("INSERT", "REPLACE"):
            continue
        made = (row["table"] or "").startswith("<") or "Table function" in extra
        stops = row["type"] == "index" and int(row["rows"] or 0) <= stops_at
        in_order = stops and ("Using where" not in extra or row["key"] in (row["possible_keys"] or "").split(","))
        whole = row["type"] in ("ALL", "index") and not made and not in_order
        if whole or "Full scan on NULL key" in extra or "Deleting all rows" in extra:
            yield "full scan", row
        if "Using filesort" in extra:
            yield "filesort", row
        if stores_rows(row, server):
            yield "temporary table", row


def _stops_at(statement: Statement, values: dict[str, Any]) -> int:
    """Return how many rows of an index in order the statement's largest LIMIT and OFFSET read."""
    most = {"LIMIT": 0, "OFFSET": 0}
    for word, literal, name in LIMIT.findall(statement.body):
        given = int(literal or values[name] or 0)
        if given < NO_LIMIT:
            most[word.upper()] = max(most[word.upper()], given)
    return sum(most.values())


def _problem(statement: Statement, kind: str, table: str, cases: list[tuple[Sample, str | None]]) -> Problem:
    """Return the Problem for one offence; `cases`: (sample, index read) for each sample that shows it."""
    sample, key = cases[0]
    case = f" with the sample {short(sample.text)}" if sample.text else ""
    more = f" and {len(cases) - 1} more" if len(cases) > 1 else ""
    index = f" (all of {key})" if kind == "full scan" and key else ""
    advice = f"Change the statement or its indexes, or say why it stays cheap: -- allow: {kind} on {table} (…)"
    what = f"{kind} {'of' if kind == 'full scan' else 'on'} {table}{index}{case}{more}. {advice}"
    return Problem(statement.path, sample.line, what)


def short(text: str) -> str:
    """Return a text of at most 60 characters."""
    return text if len(text) <= 60 else text[:59] + "…"
