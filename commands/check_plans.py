"""How the server would run each statement: EXPLAIN with the samples of its header, and what speaks against the plan.

A plan is refused where it reads a whole table or index (full scan), sorts (filesort) or keeps rows aside (temporary
table), unless the header allows it with a reason; core/db/plan_hints.py says how. Each row of EXPLAIN is judged by the
table that stands in it: what is allowed on the rows of a page is not allowed on all products.

No full scan is: reading what the server has made itself (<derived2>) or what came as a JSON document; an index that is
read in its order and left at the LIMIT, where no condition lets entries pass by; what EXPLAIN says of INSERT's target.
What is looked up by a key is no full scan either, however much of the table has that key: for that, look at `rows`.
TRUNCATE has no plan and is passed over.
"""

import dataclasses
import re

from core.db.database import DatabaseError
from core.db.drivers import number
from core.db.mysql_errors import LOST
from core.db.plan_hints import Query
from core.db.statement import Problem

FEWEST = 10_000  # products; with fewer, a server may well read all of a table that has a good index
NO_PLAN = "TRUNCATE"  # neither server explains it; it reads nothing
UNSEEN = re.compile(r"Impossible WHERE|(?:no matching|unique) row", re.I)  # decided before there was a plan
LIMIT = re.compile(r"\b(LIMIT|OFFSET)\s+(?:(\d+)|%\((\w+)\)s)", re.I)
NO_LIMIT = 2**63  # LIMIT 18446744073709551615 only keeps a subquery apart
NAMED = re.compile(r"\b(?:FROM|JOIN|STRAIGHT_JOIN|UPDATE|INTO)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?", re.I)
MATERIALISED = "Table function: json_table; Using temporary"  # so MySQL reads every document


@dataclasses.dataclass
class Report:
    """What looking at plans has found: how many, Problems, sentences, and the files whose plan was not to be had."""

    plans: int = 0
    problems: list = dataclasses.field(default_factory=list)
    hints: list = dataclasses.field(default_factory=list)
    unseen: list = dataclasses.field(default_factory=list)


def look(cursor, statements, server):
    """Explain every statement with every sample of its header; return a Report. Executes none of them.

    (MySQL does read a subquery in FROM that has one row at most while it explains.) `server`: MariaDB or MySQL. Raises
    DatabaseError where it cannot be reached.
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


def _look(cursor, statement, server, report):
    """Add to the report what one statement's plans show."""
    if statement.params and not statement.samples:
        raise Problem(statement.path, 1, "there is no '-- sample: …' of its parameters to explain it with")
    refused, needed, unseen = {}, set(), False
    for sample in statement.samples or [None]:
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
    report.problems += [_problem(statement, *offence, cases) for offence, cases in refused.items()]
    if unseen:
        report.unseen.append(statement.path)
        return
    idle = [a for a in statement.allowances if a not in needed and a.server in (None, server)]
    report.hints += [
        f"{statement.path}:{a.line}: no plan needs '{a}' here. Remove it, or say in which server it is needed."
        for a in idle
    ]


def values_of(cursor, statement, sample):
    """Return {parameter: value} of a sample, with what the database was asked for."""
    values = dict(sample.values) if sample else {}
    for name, value in values.items():
        if isinstance(value, Query):
            try:
                cursor.execute(value.text)
                (values[name],) = (cursor.fetchone() or {"": None}).values()
            except (*DatabaseError, ValueError) as error:
                _raise_if_lost(error)
                what = f"the (SELECT …) of {name} gives no value: {error.args[-1]}"
                raise Problem(statement.path, sample.line, what) from None
    return values


def explain(cursor, statement, values):
    """Return EXPLAIN's rows as dicts, in the form that both servers have; raise Problem where it cannot be had."""
    try:
        cursor.execute("EXPLAIN FORMAT=TRADITIONAL " + statement.text, values)
    except DatabaseError as error:
        _raise_if_lost(error)
        raise Problem(statement.path, statement.first_line, f"cannot be explained: {error.args[-1]}") from None
    return list(cursor.fetchall())


def _raise_if_lost(error):
    if isinstance(error, DatabaseError) and number(error) in LOST:
        raise error


def offences(rows, statement, values, server):
    """Yield (kind, row) for whatever in a plan wants a reason."""
    stops_at = _stops_at(statement, values)
    for row in rows:
        extra = row["Extra"] or ""
        if row["select_type"] in ("INSERT", "REPLACE"):
            continue
        given = (row["table"] or "").startswith("<") or "Table function" in extra
        in_order = row["type"] == "index" and "Using where" not in extra and int(row["rows"] or 0) <= stops_at
        whole = row["type"] in ("ALL", "index") and not given and not in_order
        if whole or "Full scan on NULL key" in extra or "Deleting all rows" in extra:
            yield "full scan", row
        if "Using filesort" in extra:
            yield "filesort", row
        rest = extra.replace(MATERIALISED, "", 1) if server == "MySQL" else extra
        if "Using temporary" in rest or "Start temporary" in rest:
            yield "temporary table", row


def _stops_at(statement, values):
    """Return how many rows in order the statement's largest LIMIT and OFFSET have read."""
    most = {"LIMIT": 0, "OFFSET": 0}
    for word, literal, name in LIMIT.findall(statement.body):
        given = int(literal or values[name] or 0)
        if given < NO_LIMIT:
            most[word.upper()] = max(most[word.upper()], given)
    return sum(most.values())


def names_of(row, statement):
    """Return what a header may call the table of a plan's row: its own name first, then what the statement calls it."""
    table = row["table"]
    if not table:  # "Deleting all rows"
        return sorted(statement.changes)
    if made := re.match(r"<([a-z]+)", table):
        return [made[1]]
    if "Table function" in (row["Extra"] or ""):
        return ["document", table]
    own = {name for name, alias in NAMED.findall(statement.body) if table in (name, alias)}
    return [own.pop(), table] if len(own) == 1 else [table]


def _problem(statement, kind, table, cases):
    """Return the Problem for one offence; `cases`: (sample, index read) for each sample that shows it."""
    sample, key = cases[0]
    case = f" with the sample {_short(sample.text)}" if sample and sample.text else ""
    more = f" and {len(cases) - 1} more" if len(cases) > 1 else ""
    index = f" (all of {key})" if kind == "full scan" and key else ""
    mend = f"Mend the statement or its indexes, or say why that stays cheap: -- allow: {kind} on {table} (…)"
    what = f"{kind} {'of' if kind == 'full scan' else 'on'} {table}{index}{case}{more}. {mend}"
    return Problem(statement.path, sample.line if sample else statement.first_line, what)


def _short(text):
    return text if len(text) <= 60 else text[:59] + "…"
