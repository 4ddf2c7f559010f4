"""How a server has run a statement, step by step, in one form: from MariaDB's ANALYZE and MySQL's EXPLAIN ANALYZE.

MariaDB gives JSON (FORMAT=JSON), MySQL a text (FORMAT=TREE) in which the parts of a step stand below it, indented.
Older versions of MariaDB name one key of an object several times, so objects are read as lists of pairs.
"""

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

SCAN, INDEX_SCAN, SORT, TEMPORARY = "full scan", "full index scan", "filesort", "temporary table"
LONGEST = 120  # characters of a condition

NUMBER = r"[\d.e+-]+?"
LINE = re.compile(  # of MySQL
    rf"(?P<indent> *)-> (?P<text>.*?)(?: +\(cost={NUMBER}(?:\.\.{NUMBER})? rows=(?P<estimated>{NUMBER})\))?"
    rf"(?: +\((?:actual time={NUMBER}\.\.(?P<ms>{NUMBER}) rows=(?P<rows>{NUMBER}) loops=(?P<loops>\d+)|(?P<never>never"
    r" executed))\))?",
    re.S,
)
ACCESS = re.compile(  # of MySQL: how it reads a table
    r"(?:(?P<scan>Table scan)|(?P<index>(?:Covering i|I)ndex scan)|[\w -]+?(?:lookup|range scan|search|skip scan))"
    r" on (?P<table>\S+)(?: using (?P<key>\w+))?"
)
HOW = {  # of MariaDB: access_type → words
    "ALL": "scan of",
    "index": "index scan of",
    "const": "one row of",
    "eq_ref": "one row of",
    "ref": "lookup in",
    "fulltext": "full-text search in",
    "range": "range of",
}
STORES = re.compile(r"Temporary table|Aggregate using temporary table")  # of MySQL


@dataclasses.dataclass
class Step:
    """One step of a plan as it was run. `rows`, `estimated`: of one loop; `ms`: of all loops, with its parts."""

    text: str
    rows: float | None = None
    estimated: float | None = None
    loops: int | None = None  # 0: it was never run
    ms: float | None = None
    parts: list["Step"] = dataclasses.field(default_factory=list)  # what it takes its rows from
    kind: str = ""  # SCAN, INDEX_SCAN, SORT, TEMPORARY, or nothing of these
    table: str = ""  # that it reads, by its name in the statement
    made: str = ""  # "derived", "document", …: the server has made that table
    key: str = ""  # the index
    kept: float = 100  # percent of the rows that its condition leaves

    @property
    def read(self) -> int:
        """Return how many rows it gave in all its loops."""
        return round((self.rows or 0) * (self.loops or 0))

    @property
    def own_ms(self) -> float:
        """Return the milliseconds without those of its parts."""
        return max(0, (self.ms or 0) - _ms(self.parts))

    def walk(self, depth: int = 0) -> Iterator[tuple[int, "Step"]]:
        """Yield (depth, step) of it and all that is below it, as it is printed."""
        yield depth, self
        for part in self.parts:
            yield from part.walk(depth + 1)

    def first_table(self) -> "Step | None":
        """Return the first step from here on that reads a table, or None."""
        return next((step for _, step in self.walk() if step.table and step.table != "<temporary>"), None)


def of_mysql(text: str) -> Step | None:
    """Return the outermost step of EXPLAIN ANALYZE FORMAT=TREE; None where the server did not run it step by step."""
    top = Step("statement")
    path = [top]  # the step on each level that the next line may stand below
    for line in re.split(r"\n(?= *-> )", text.strip("\n")):
        found = LINE.fullmatch(line.rstrip())
        if not found or found["text"].startswith("<not executable"):
            return None
        step = Step(" ".join(found["text"].split()), estimated=_number(found["estimated"]))
        if found["never"]:
            step.loops = 0
        elif found["loops"]:
            step.rows, step.loops = _number(found["rows"]), int(found["loops"])
            step.ms = float(found["ms"]) * step.loops
        if access := ACCESS.match(step.text):
            step.table, step.key = access["table"], access["key"] or ""
            step.kind = SCAN if access["scan"] else INDEX_SCAN if access["index"] else ""
            step.made = "temporary" if step.table.startswith("<") else ""
        elif step.text.startswith("Sort"):
            step.kind = SORT
        elif STORES.match(step.text):
            step.kind = TEMPORARY
        elif step.text.startswith("Materialize table function"):
            step.table = step.made = "document"
        depth = len(found["indent"]) // 4
        path[depth].parts.append(step)
        path[depth + 1 :] = [step]
    for _, step in reversed([*top.walk()]):
        if step.ms is None and step.loops != 0 and step.parts:  # a subquery as such, a hash
            step.ms = _ms(step.parts)
            step.loops = step.parts[0].loops if step.text.startswith("Select #") else None
        if step.kind == SCAN and step.parts:  # of what its part has stored
            step.made = step.made or ("document" if "table function" in step.parts[0].text else "derived")
    return top.parts[0] if len(top.parts) == 1 else top


def of_mariadb(text: str) -> Step | None:
    """Return the outermost step of ANALYZE FORMAT=JSON; its parts stand in the order in which they are run."""
    steps = _parts(json.loads(text, object_pairs_hook=list))
    return steps[0] if steps else None


def _parts(pairs: list[Any]) -> list[Step]:
    """Return the steps that an object, or an array of objects, of MariaDB's JSON holds."""
    steps: list[Step] = []
    for pair in pairs:
        if isinstance(pair, list):
            steps += _parts(pair)
        elif isinstance(pair, tuple) and isinstance(pair[1], list):
            steps += _steps_of(*pair)
    return steps


def _steps_of(key: str, value: list[Any]) -> list[Step]:
    """Return the steps of one member: its own, or those inside of what is none itself."""
    parts = _parts(value)
    about = dict(value) if all(isinstance(pair, tuple) for pair in value) else {}
    if key == "table":
        return [_table(about, parts)]
    if key == "query_block" and "select_id" in about:
        loops = about.get("r_loops", 1 if "r_total_time_ms" in about else 0)
        text = f"{about.get('operation', 'select').lower()} #{about['select_id']}"
        return [Step(text, loops=loops, ms=about.get("r_total_time_ms") or _ms(parts), parts=parts)]
    if key == "nested_loop" and len(parts) > 1:
        return [Step("nested loop", ms=_ms(parts), parts=parts)]
    if key == "filesort":
        limit = f", the first {about['r_limit']}" if "r_limit" in about else ""
        passes = f", {about['r_sort_passes']} pass(es) on the disk" if about.get("r_sort_passes") else ""
        by = f" by {_short(about['sort_key'])}" if about.get("sort_key") else ""
        step = Step(f"sort{by}{limit}{passes}", parts=parts, kind=SORT)
        step.rows, step.loops = about.get("r_output_rows"), about.get("r_loops", 0)
        step.ms = max(about.get("r_total_time_ms") or 0, _ms(parts))
        return [step]
    if key == "temporary_table":
        return [Step("temporary table", loops=1, ms=_ms(parts), parts=parts, kind=TEMPORARY)]
    if key == "block-nl-join" and parts:
        parts[0].text += f", joined by a buffer{_where(about)}"
        parts[0].ms = (parts[0].ms or 0) + (about.get("r_other_time_ms") or 0)
    return parts


def _table(about: dict[str, Any], parts: list[Step]) -> Step:
    if "table_name" not in about:
        return Step(about.get("message", "no table"), loops=0)
    name, access, key = about["table_name"], about.get("access_type", ""), about.get("key", "")
    made = re.match(r"<([a-z]+)", name)
    step = Step("", about.get("r_rows"), about.get("rows"), parts=parts, table=name, key=key)
    step.made = "document" if "table_function" in about else made[1] if made else ""
    step.kind = {"ALL": SCAN, "index": INDEX_SCAN}.get(access, "")
    step.loops = about.get("r_loops", None if step.rows is None else 1)  # a constant is read before it begins
    step.ms = (about.get("r_table_time_ms") or 0) + (about.get("r_other_time_ms") or 0) + _ms(parts)
    step.kept = 100 if about.get("r_filtered") is None else about["r_filtered"]
    change = "update, " if "update" in about else "delete, " if "delete" in about else ""
    by = f" by {key}" + (f" ({_columns(about)})" if access != "index" else "") if key else ""
    alone = ", index alone" if about.get("using_index") else ""
    step.text = f"{change}{HOW.get(access, access)} {name}{by}{alone}{_where(about)}".strip()
    return step


def _columns(about: dict[str, Any]) -> str:
    """Return the columns of an index that are used, with what they are compared with if that is known of all."""
    columns, sought = about.get("used_key_parts", []), about.get("ref", [])
    if len(columns) != len(sought):
        return ", ".join(columns)
    return ", ".join(f"{column} = {what}" for column, what in zip(columns, sought, strict=True))


def _where(about: dict[str, Any]) -> str:
    conditions = [about[name] for name in ("index_condition", "attached_condition") if about.get(name)]
    return f", where {_short(' and '.join(conditions))}" if conditions else ""


def _short(text: str) -> str:
    text = " ".join(text.replace("`", "").split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _ms(steps: list[Step]) -> float:
    return sum(step.ms or 0 for step in steps)


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
