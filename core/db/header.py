"""The header of a SQL file: `--` lines, what they say, and what is wrong with them.

    -- Products on sale, cheapest first; one page.       what it does, in one sentence or more
    -- used by: GET /api/products?sort=price             the routes and commands that run it
    -- returns: many                                     one | many (rows), count (rows changed), id (the new row's,
                                                         or what LAST_INSERT_ID(…) says)
    -- columns: id INT, description TEXT NULL            of the rows: name, type, NULL where it may be; see columns.py
    -- changes: products                                 where rows change: the tables, all of them
    -- params:  NULL means "do not filter on this"       the %(parameters)s of the statement, all of them
    --   category_id  exact
    -- sample: category_id=7                             values to look at its plan with, and
    -- allow: full scan on categories (there are few)    what the plan may do: see plan_hints.py, and `check --plans`
    -- index: products ix_products_price                 the plan must read this table by this index (or by one of
                                                         several); a semicolon before the next table
    -- reads: at most 100                                rows and index entries that any sample reads
    -- rows: at most 101                                 rows that any sample returns
    -- timeout: 200ms                                    of the server's time; SELECT only
    -- cache: counting takes long                        rows may be some seconds old, for this reason; with
                                                         "estimate, …" some minutes
    -- replica: ok                                       rows may come from a replica, some seconds old: see replica.py
    -- like: products/list_price                         what is not said here is as there (not the plan)
    -- plan: ix_products_price                           free text after that: plans, warnings, reasons

`columns`, `changes`, `sample`, `allow` and `index` go on in lines that are indented by three spaces or more.
"""

import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from core.cli import CommandError
from core.db import columns, plan_hints

KEYS = (
    "used by|returns|columns|changes|params|sample|allow|index|reads|rows|timeout|cache|replica|like|replaces|plan|note"
)
LINE = re.compile(rf"^--(?: (?P<key>{KEYS}): *(?P<value>.*)|(?P<text>.*))$", re.M)
PARAM = re.compile(r" {3}([a-z][a-z0-9_]*)(?: {2,}(\S.*))?\Z")
LIKE = re.compile(r"^-- like: *([a-z_]+/[a-z0-9_]+) *$", re.M)
MANY = ("used by", "sample", "allow", "plan", "note")  # keys that may be there several times
LONG = ("used by", "columns", "changes", "sample", "allow", "index", "cache")  # that go on in indented lines
RETURNS = ("one", "many", "count", "id")
TABLES = re.compile(r"[a-z_]\w*(?:, *[a-z_]\w*)*\Z")
INDEX = re.compile(r"([a-z_]\w*)((?: +[A-Za-z_]\w*)+)\Z")
AT_MOST = re.compile(r"at most (\d+)\Z")
TIME = re.compile(r"(\d+) ?(ms|s)\Z")
TAKEN_OVER = ("columns", "changes", "params", "sample", "allow", "index", "reads", "rows", "timeout", "cache")

Result = TypeVar("Result")


class Problem(CommandError, ValueError):
    """Something is wrong in a SQL file; reads "sql/cart/add.sql:7: what is wrong"."""

    def __init__(self, path: str, line: int, what: str) -> None:
        super().__init__(f"{path}:{line}: {what}")


class Header:
    """What the `--` lines of a file say, and of the header that it is like; raises Problem."""

    def __init__(self, path: str, lines: list[str], like: "Header | None" = None) -> None:
        self.path = path
        self.title = ""
        self._said: dict[str, list[tuple[str, int]]] = {}  # key → its texts, each with its line
        self._read(lines)
        self.taken_over: set[str] = set()
        if like:
            self._take_over(like)
        for needed in ("used by", "returns"):
            if not self.said(needed):
                raise Problem(path, 1, f"the header has no '-- {needed}: …' line")
        self.used_by = " ".join(text for text, _ in self._said["used by"])
        self.returns = self.said("returns")
        if self.returns not in RETURNS:
            raise self.problem("returns", f"it is not one of {', '.join(RETURNS)}")
        self.like = self.said("like") or None
        self._understand()

    def said(self, key: str) -> str:
        """Return the first text of a key; empty where there is none."""
        return self._said.get(key, [("", 1)])[0][0]

    def line(self, key: str) -> int:
        """Return the file's line of a key; 1 where there is none."""
        return self._said.get(key, [("", 1)])[0][1]

    def problem(self, key: str, what: str) -> Problem:
        """Return a Problem with what a key says, at its line."""
        said = f"'{key}: {self.said(key)}'" if key in self._said else f"'-- {key}: …' is missing"
        return Problem(self.path, self.line(key), f"{said}: {what}")

    def read_plans(self, body: str, lists: Collection[str]) -> None:
        """Read the samples and allowances, for the body of this header; `lists`: parameters that are tuples."""
        self.samples: list[plan_hints.Sample] = [
            self._of_line(line, plan_hints.sample, text, line, self.params, lists)
            for text, line in self._said.get("sample", ())
        ]
        self.allowances: list[plan_hints.Allowance] = [
            allowance
            for text, line in self._said.get("allow", ())
            for allowance in self._of_line(line, plan_hints.allowances, text, line, body)
        ]

    def _read(self, lines: list[str]) -> None:
        """Sort the lines by their keys."""
        purpose, key = [], None
        self.params: dict[str, str] = {}  # name → what the header says of it
        for number, parts in enumerate(LINE.finditer("\n".join(lines)), 1):
            text = (parts["text"] or "").strip()
            if parts["key"]:
                key = parts["key"]
                if key in self._said and key not in MANY:
                    raise Problem(self.path, number, f"'{key}:' is there twice")
                self._said.setdefault(key, []).append((parts["value"].strip(), number))
            elif key is None:
                purpose.append(text)
            elif key == "params" and (param := PARAM.match(parts["text"])):
                if param[1] in self.params:
                    raise Problem(self.path, number, f"parameter {param[1]} is declared twice")
                self.params[param[1]] = param[2] or ""
            elif key in LONG and text:
                before, first = self._said[key][-1]
                self._said[key][-1] = f"{before} {text}".strip(), first
        self.title = " ".join(purpose).strip()
        if not self.title:
            what = "the header is missing: begin with '-- ' and a sentence on what the statement does"
            raise Problem(self.path, 1, what)

    def _take_over(self, other: "Header") -> None:
        """Take over what is said in another header and not in this one."""
        self.taken_over = {key for key in TAKEN_OVER if key in other._said and key not in self._said}
        for key in self.taken_over:
            self._said[key] = [(text, self.line("like")) for text, _ in other._said[key]]
        if "params" in self.taken_over:
            self.params = other.params

    def _understand(self) -> None:
        """Read what has a form of its own."""
        self.cached = None  # "count": the answer may be some seconds old; "estimate": some minutes
        if "cache" in self._said:
            self.cached = "estimate" if re.match(r"estimate\b", self.said("cache")) else "count"
        self.columns: columns.Columns = {}
        if "columns" in self._said:
            self.columns = self._of_line(self.line("columns"), columns.parse, self.said("columns"))
        if "changes" in self._said and not TABLES.match(self.said("changes")):
            raise self.problem("changes", "it wants the names of tables, separated by commas")
        self.changes = frozenset(re.findall(r"\w+", self.said("changes")))
        self.may_lag = "replica" in self._said
        if self.may_lag and self.said("replica") != "ok":
            raise self.problem("replica", "it wants 'ok', or no such line")
        self.reads = self._at_most("reads")
        self.rows = self._at_most("rows")
        self.timeout = self._seconds()
        self.indexes = self._indexes()  # [(table, (index, …)), …]

    def _indexes(self) -> list[tuple[str, tuple[str, ...]]]:
        found = []
        for part in self.said("index").split(";") if "index" in self._said else ():
            match = INDEX.match(part.strip())
            if not match:
                raise self.problem("index", "it wants a table and its index, or several; a semicolon before the next")
            found.append((match[1], tuple(match[2].split())))
        return found

    def _at_most(self, key: str) -> int | None:
        if key not in self._said:
            return None
        if not (found := AT_MOST.match(self.said(key))):
            raise self.problem(key, "it wants 'at most' and a whole number")
        return int(found[1])

    def _seconds(self) -> float | None:
        if "timeout" not in self._said:
            return None
        found = TIME.match(self.said("timeout"))
        if not found or not int(found[1]):
            raise self.problem("timeout", "it wants a time such as 200ms or 5s")
        return int(found[1]) / (1000 if found[2] == "ms" else 1)

    def _of_line(self, line: int, read: Callable[..., Result], *args: Any) -> Result:
        """Return what `read` makes of it; raise Problem where it raises ValueError."""
        try:
            return read(*args)
        except ValueError as error:
            raise Problem(self.path, line, str(error)) from None


def like(source: str) -> str | None:
    """Return the name of the statement that the header of this text is like."""
    found = LIKE.search(source)
    return found[1] if found else None
