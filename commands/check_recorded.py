"""The plans in sql/plans.json: `check --plans --compare` says which of them a server has changed, `--accept` records.

For each kind of server (MariaDB 10.11) the file has a line for each sample: the plan's decision, as in
check_decisions.py, and what it read and how long it took where it was accepted, in a database with as many products and
orders as stand above them:

    "products/list_price: limit=21": [{"plan": "products range ix_products_price/6", "reads": 64, "ms": 0.3}],

Several plans may be accepted for a sample, where a server wavers between two that are equally good. A plan that reads
more rows than the one that it replaces, or takes much longer, is refused unless `--slower` is said.
"""

import json
import pathlib
from collections.abc import Iterable
from typing import Any

from commands import check_decisions
from commands.check_bounds import MOST_CHANGED
from commands.check_plans import Explained, Report, short
from commands.check_samples import measured, raise_if_lost
from commands.check_schema import Schema
from core.db.database import DatabaseError
from core.db.plan_hints import Query
from core.db.statement import Problem, Statement

PLAN = dict[str, Any]  # plan, reads, ms
RUNS = 3  # the fastest counts


class Recorded:
    """The plans of one kind of server, as the file has them.

    `at`: {"products": how many there were, "orders": …}; None where the file has no plans of this server.
    """

    def __init__(self, path: pathlib.Path, kind: str) -> None:
        self.path, self.kind = path, kind
        self.servers: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
        mine = self.servers.get(kind, {})
        self.at: dict[str, int] | None = mine.get("at")
        self.plans: dict[str, list[PLAN]] = mine.get("plans", {})

    def write(self, at: dict[str, int]) -> None:
        """Write the file: servers and samples in order, a line for each sample."""
        self.at = at
        self.servers[self.kind] = {"at": at, "plans": self.plans}
        blocks = []
        for kind, server in sorted(self.servers.items()):
            lines = [f"{_json(key)}: {_json(plans)}" for key, plans in sorted(server["plans"].items())]
            blocks.append(f'{_json(kind)}: {{"at": {_json(server["at"])}, "plans": {{\n' + ",\n".join(lines) + "\n}}")
        self.path.write_text("{\n" + ",\n".join(blocks) + "\n}\n")


def kind_of(info: str) -> str:
    """Return the kind of a server, e.g. "MariaDB 10.11", from what it says of itself (5.5.5-10.11.19-MariaDB-…)."""
    first, second = info.removeprefix("5.5.5-").split(".")[:2]
    return f"{'MariaDB' if 'MariaDB' in info else 'MySQL'} {first}.{second}"


def compare(schema: Schema, recorded: Recorded, report: Report, statements: Iterable[Statement]) -> list[str]:
    """Return a line for each plan that is not as recorded, and for each index that is gone with all files that used it.

    `statements`: all that there are, also those that could not be explained.
    """
    told = _dropped(schema, recorded)
    for explained in report.plans:
        known = recorded.plans.get(key_of(explained))
        if known is None:
            what = f"there is no recorded plan{_case(explained)}. Record it: check --plans --accept"
            told.append(str(_problem(explained, what)))
        elif not _is_known(explained, known):
            if _is_certain(schema, explained, known):
                otherwise = min((check_decisions.changes(old["plan"], explained.decision) for old in known), key=len)
                told.append(str(_problem(explained, f"another plan{_case(explained)}: {'; '.join(otherwise)}")))
            else:
                report.unseen.add(explained.statement.path)
    left = _left_over(recorded, report, statements)
    return told + [f"sql/plans.json has a plan for a sample that is not there: {key}" for key in left]


def accept(
    cursor: Any,
    recorded: Recorded,
    report: Report,
    statements: Iterable[Statement],
    at: dict[str, int],
    *,
    slower: bool = False,
    also: bool = False,
) -> tuple[list[str], bool]:
    """Record the plans that are not as recorded, each measured first; return lines, and whether the file was written.

    It is not written if one of them is slower than what it replaces; unless `slower`. `also`: what is recorded stays
    accepted beside it. `at`: how many products and orders there are.
    """
    same_size = recorded.at is None or all(abs(at[name] - there) <= there / 10 for name, there in recorded.at.items())
    if not same_size and not slower:
        there = " and ".join(f"{count} {name}" for name, count in (recorded.at or {}).items())
        return [
            f"The recorded plans were measured with {there}. In a database of another size it is not to be told "
            "which plan is slower: say --slower if they shall be recorded all the same."
        ], False
    lines, refused, schema = [], False, Schema(cursor, recorded.kind.split()[0])
    accepted: dict[str, list[PLAN]] = {}
    for explained in report.plans:
        known = recorded.plans.get(key_of(explained), [])
        if _is_known(explained, known) or (known and not _is_certain(schema, explained, known)):
            continue
        new = _measured(cursor, explained)
        slow = bool(known) and _is_slower(new, known)
        refused |= slow
        if known:
            before = max(known, key=lambda old: old.get("reads", 0))
            what = f"{_figures(new)}; before, {_figures(before)}{': slower' if slow else ''}"
            lines.append(str(_problem(explained, f"the plan{_case(explained)} reads {what}")))
        accepted[key_of(explained)] = [*(known if also else []), new]
    if refused and not slower:
        return [*lines, "Nothing is recorded, because a plan is slower. If that is meant, say --slower."], False
    left = _left_over(recorded, report, statements)
    recorded.plans = {key: plans for key, plans in (recorded.plans | accepted).items() if key not in left}
    recorded.write(at)
    return [*lines, f"{len(accepted)} plans of {recorded.kind} recorded in sql/plans.json, {len(left)} removed."], True


def key_of(explained: Explained) -> str:
    """Return what a sample has in the file for a key."""
    return f"{explained.statement.name}: {explained.sample.text}".rstrip()


def _is_known(explained: Explained, known: list[PLAN]) -> bool:
    return explained.decision in [plan["plan"] for plan in known]


def _is_certain(schema: Schema, explained: Explained, known: list[PLAN]) -> bool:
    """Whether another plan means anything: not where rows are missing that were there (or were), or hardly any are."""
    plans = [explained.decision, *(plan["plan"] for plan in known)]
    asked = [explained.values[name] for name, value in explained.sample.values.items() if isinstance(value, Query)]
    if None in asked or len({plan.count(check_decisions.NO_ROW) for plan in plans}) > 1:
        return False
    tables = set().union(*map(check_decisions.tables, plans))
    return not any(schema.has_few(table) for table in tables)


def _dropped(schema: Schema, recorded: Recorded) -> list[str]:
    """Return a line for each recorded index that the database does not have, with all files that used it."""
    users: dict[tuple[str, str], set[str]] = {}
    for key, plans in recorded.plans.items():
        for index in set().union(*(check_decisions.indexes(plan["plan"]) for plan in plans)) - schema.indexes:
            users.setdefault(index, set()).add(key.partition(":")[0])
    return [
        f"The index {name} of {table} is not there. It was used by {_files(files)}."
        for (table, name), files in sorted(users.items())
    ]


def _files(names: Iterable[str]) -> str:
    return ", ".join(str(pathlib.PurePath("sql", f"{name}.sql")) for name in sorted(names))


def _left_over(recorded: Recorded, report: Report, statements: Iterable[Statement]) -> list[str]:
    """Return the keys of the file that belong to no sample; those of files that could not be explained stay."""
    seen = {key_of(explained) for explained in report.plans}
    explained = {one.statement.name for one in report.plans}
    there = {statement.name for statement in statements}
    names = {key: key.partition(":")[0] for key in recorded.plans if key not in seen}
    return [key for key, name in names.items() if name in explained or name not in there]


def _measured(cursor: Any, explained: Explained) -> PLAN:
    """Return the plan with its figures; without them where the statement cannot run here, or changes too many rows."""
    plan = {"plan": explained.decision}
    if not explained.statement.reads_only and explained.estimate > MOST_CHANGED:
        return plan
    try:
        runs = [measured(cursor, explained.statement, explained.values) for _ in range(RUNS)]
    except DatabaseError as error:  # a row that others refer to, say
        raise_if_lost(error)
        return plan
    return plan | {"reads": runs[-1].reads, "ms": round(min(run.seconds for run in runs) * 1000, 1)}


def _is_slower(new: PLAN, known: list[PLAN]) -> bool:
    """Whether it reads a tenth more, and more than 10 rows more; or takes three times as long, and 5 ms more."""
    figures = [plan for plan in known if "reads" in plan]
    if not figures or "reads" not in new:
        return False
    reads, ms = (max(plan[figure] for plan in figures) for figure in ("reads", "ms"))
    return new["reads"] > max(reads * 1.1, reads + 10) or new["ms"] > max(ms * 3, ms + 5)


def _figures(plan: PLAN) -> str:
    return f"{plan['reads']} rows in {plan['ms']} ms" if "reads" in plan else "nobody knows how many rows"


def _case(explained: Explained) -> str:
    return f" with the sample {short(explained.sample.text)}" if explained.sample.text else ""


def _problem(explained: Explained, what: str) -> Problem:
    return Problem(explained.statement.path, explained.sample.line, what)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
