"""A statement as it was run, as a tree with rows, loops and times, and in words what stands out: `sql --analyze`."""

import re
from typing import Any

from commands.check_plans import names_of
from commands.sql_analyze_steps import INDEX_SCAN, SCAN, Step, of_mariadb, of_mysql
from core.cli import CommandError
from core.db import effects
from core.db.statement import Statement

MANY = 1000  # rows or loops, below which nothing is said of estimates, of index scans and of what was read in vain
FAR = 10  # times as many rows as estimated, or as few
ON_DISK = {  # a count of the server's, for the session → what it means
    "Created_tmp_disk_tables": "a temporary table was written to the disk: {0} time(s)",
    "Sort_merge_passes": "a sort did not fit into its memory (sort_buffer_size): {0} pass(es) on the disk",
}
STOPS_EARLY = re.compile(r"\b(?:LIMIT|EXISTS|MIN|MAX)\b", re.I)


def analyze(cursor: Any, statement: Statement, values: dict[str, Any], server: str) -> list[str]:
    """Run a statement; return the lines of the tree and of the warnings. The caller rolls back.

    `server`: MariaDB or MySQL. Raises DatabaseError, and CommandError for what MySQL does not analyze.
    """
    before = _on_disk(cursor)
    way = "ANALYZE FORMAT=JSON " if server == "MariaDB" else "EXPLAIN ANALYZE FORMAT=TREE "
    cursor.execute(f"{way}/* {statement.name} */ {statement.body}", values)
    (text,) = cursor.fetchall()[0].values()
    after = _on_disk(cursor)
    top = of_mariadb(text) if server == "MariaDB" else of_mysql(text)
    if not top:
        raise CommandError(f"{server} does not analyze this kind of statement; --explain shows its plan.")
    spilled = [said.format(after[name] - before[name]) for name, said in ON_DISK.items() if after[name] > before[name]]
    return [*tree(top), "", *(warnings(top, statement, server) + spilled or ["Nothing stands out."])]


def _on_disk(cursor: Any) -> dict[str, int]:
    cursor.execute(f"SHOW SESSION STATUS WHERE Variable_name IN ({', '.join(map(repr, ON_DISK))})")
    return {row["Variable_name"]: int(row["Value"]) for row in cursor.fetchall()}


def tree(top: Step) -> list[str]:
    """Return a line for each step: rows and estimate of one loop, loops, milliseconds of all with the parts below."""
    heading = ("rows", "estimated", "loops", "ms", "step")
    lines = [heading, *(_cells(depth, step) for depth, step in top.walk())]
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    return ["  ".join([*map(str.rjust, line[:4], widths), line[4]]) for line in lines]


def _cells(depth: int, step: Step) -> tuple[str, ...]:
    never = step.loops == 0
    return (
        "" if never else _count(step.rows),
        _count(step.estimated),
        "never" if never else _count(step.loops),
        "" if never or step.ms is None else f"{step.ms:.3f}",
        "   " * depth + step.text,
    )


def _count(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,.1f}" if 0 < number < 10 and number != int(number) else f"{round(number):,}"


def warnings(top: Step, statement: Statement, server: str) -> list[str]:
    """Return what stands out, a sentence each, with what the statement's header allows."""
    steps = [step for _, step in top.walk()]
    found = [said for step in steps for said in _work(step, statement, server)]
    early = STOPS_EARLY.search(effects.bare(statement.body))
    for step in steps:
        if step.table and step.made != "document" and (said := _misjudged(step, bool(early))):
            found.append(said)
        if step.kept < 100 / FAR and step.read >= MANY:
            found.append(
                f"{step.table}: {step.read:,} rows were read, and the condition kept {step.kept:.1g} % of them; "
                "an index with its columns would not read the others"
            )
        if (step.loops or 0) >= MANY and re.match(r"select #\d+", step.text, re.I):
            found.append(f"{step.text.partition(' (')[0]} was run {step.loops:,} times, once for each row")
    return list(dict.fromkeys(found)) + _slowest(top, steps)


def _work(step: Step, statement: Statement, server: str) -> list[str]:
    """Return what is to be said of a scan, a sort or a temporary table."""
    table = step if step.table else step.first_table()
    if not step.kind or step.loops == 0 or (step.kind in (SCAN, INDEX_SCAN) and step.made):
        return []
    if step.kind == INDEX_SCAN and step.read < MANY:
        return []  # in the order of the index, up to a LIMIT; or there are few
    names = _names(table, statement) if table else ["?"]
    on = "of" if step.kind in (SCAN, INDEX_SCAN) else "on"
    kind = SCAN if step.kind == INDEX_SCAN else step.kind
    said = f"{step.kind} {on} {names[0]}"
    if step.kind == INDEX_SCAN:
        said += f" (all of {step.key})"
    if step.rows is not None:
        said += f": {step.read:,} row{'' if step.read == 1 else 's'}"
    allowed = [a.line for a in statement.allowances if a.covers(kind, names, step.read, server)]
    return [
        said + (f"; allowed by line {allowed[0]} of {statement.path}" if allowed else "; the header does not allow it")
    ]


def _names(table: Step, statement: Statement) -> list[str]:
    """Return what a header may call a table; its own name first."""
    if table.made:
        return [table.made, table.table]
    return names_of({"table": table.table, "Extra": ""}, statement)


def _misjudged(step: Step, early: bool) -> str | None:
    """Return a sentence where the server had expected many more rows, or far fewer, else None.

    `early`: the statement may end before all rows are read; then fewer rows are no mistake.
    """
    if step.rows is None or step.estimated is None or not step.loops:
        return None
    fewer, more = sorted((max(step.rows, 1), max(step.estimated, 1)))
    if more < fewer * FAR or (more - fewer) * step.loops < MANY or (early and step.rows < step.estimated):
        return None
    return (
        f"{step.table}: {_count(step.estimated)} rows were estimated and {_count(step.rows)} read, "
        f"{round(more / fewer):,} times as {'many' if step.rows > step.estimated else 'few'}"
        f"; ANALYZE TABLE renews what the server knows of it"
    )


def _slowest(top: Step, steps: list[Step]) -> list[str]:
    """Return a sentence on the step that takes more than half of a time that is worth a word."""
    slowest = max(steps, key=lambda step: step.own_ms)
    total = max(top.ms or 0, slowest.own_ms)
    if total < 1 or slowest.own_ms < total / 2:
        return []
    text = slowest.text if len(slowest.text) <= 80 else slowest.text[:79] + "…"
    return [f"{slowest.own_ms / total:.0%} of the time is in: {text}"]
