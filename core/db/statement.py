"""One SQL file: its header, its statement, and what is wrong with either, said with file and line.

A file is a header of `--` lines and one statement:

    -- Products on sale, cheapest first; one page.       what it does, in one sentence or more
    -- used by: GET /api/products?sort=price             the routes and commands that run it
    -- returns: many                                     one | many (rows), count (rows changed), id (the new row's,
                                                         or what LAST_INSERT_ID(…) says)
    -- params:  NULL means "do not filter on this"       the %(parameters)s of the statement, all of them
    --   category_id  exact
    -- sample: category_id=7                             values to look at its plan with, and
    -- allow: full scan on categories (there are few)    what the plan may do: see plan_hints.py, and `check --plans`
    -- cache: counting takes long                        rows may be some seconds old, for this reason; with
                                                         "estimate, …" some minutes
    -- plan: ix_products_price                           free text after that: plans, warnings, reasons
    SELECT …

Values are bound by the driver; nothing else ever gets into the text, so a variant (another order, say) is another file.
`IN %(ids)s` takes a tuple of numbers, never an empty one. (0,) stands for "do not filter on this" where the file says
`(0 IN %(ids)s OR id IN %(ids)s)`: the server computes the first part before it plans.
"""

import dataclasses
import re
from collections.abc import Set as AbstractSet

from core.db import effects, plan_hints

HEADER_LINE = re.compile(
    r"^--(?: (?P<key>used by|returns|params|sample|allow|cache|plan|note): *(?P<value>.*)|(?P<text>.*))$", re.M
)
PARAM_LINE = re.compile(r" {3}([a-z][a-z0-9_]*)(?: {2,}(\S.*))?\Z")
PLACEHOLDER = re.compile(r"%\(([a-z][a-z0-9_]*)\)s")
IN_LIST = re.compile(r"(?<=\bIN )%\(([a-z][a-z0-9_]*)\)s")  # the driver writes the parentheses
VERBS = {  # what a statement returns → how it begins
    "one": ("SELECT", "WITH"),
    "many": ("SELECT", "WITH"),
    "count": ("INSERT", "UPDATE", "DELETE", "TRUNCATE"),
    "id": ("INSERT", "UPDATE"),
}
LOCKS = re.compile(r"\bFOR\s+(?:UPDATE|SHARE)\b|\bLOCK\s+IN\s+SHARE\s+MODE\b", re.I)
STAR = re.compile(r"(?:\b(?:SELECT|DISTINCT|ALL)\s+|[.,]\s*)\*", re.I)
BARE_PERCENT = re.compile(r"%(?!%|\([a-z][a-z0-9_]*\)s)")


class Problem(ValueError):
    """Something is wrong in a SQL file; reads "sql/cart/add.sql:7: what is wrong"."""

    def __init__(self, path: str, line: int, what: str) -> None:
        super().__init__(f"{path}:{line}: {what}")


@dataclasses.dataclass(eq=False)
class Statement:
    """One checked statement. `text` is what goes to the driver, with the name in front for the slow log."""

    name: str
    path: str  # relative, as in messages
    returns: str
    params: dict[str, str]  # name → what the header says of it
    body: str  # the statement as in the file
    first_line: int  # of the body in the file, counted from 1
    cached: str | None = None  # "count": the answer may be some seconds old; "estimate": some minutes
    samples: list[plan_hints.Sample] = dataclasses.field(default_factory=list)
    allowances: list[plan_hints.Allowance] = dataclasses.field(default_factory=list)
    changes: frozenset[str] = frozenset()  # tables
    reads_only: bool = False

    def __post_init__(self) -> None:
        self.text = f"/* {self.name} */ {self.body}"
        self.lists = frozenset(IN_LIST.findall(self.body))  # parameters that are tuples

    def prepared(self) -> str:
        """Return the statement with `?` for each parameter, for the server's PREPARE."""
        return PLACEHOLDER.sub("?", IN_LIST.sub("(?)", self.text)).replace("%%", "%")

    def line_of(self, word: str) -> int:
        """Return the file's line in which a word of the statement comes first."""
        found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", self.body, re.I) if word else None
        return self.line_at(found.start() if found else 0)

    def line_at(self, place: int) -> int:
        """Return the file's line of a place in the body."""
        return self.first_line + self.body.count("\n", 0, place)


def parse(name: str, path: str, source: str, tables: AbstractSet[str] | None = None) -> Statement:
    """Check one file's text and return its Statement; raise Problem for the first thing that is wrong.

    `tables`: all that there are; a statement may change no other.
    """
    lines = source.replace("\r\n", "\n").split("\n")
    end = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    header = _Header(path, lines[:end])
    body = "\n".join(lines[end:])
    statement = Statement(
        name,
        path,
        returns=header.returns,
        params=header.params,
        body=body.strip().removesuffix(";").rstrip(),
        first_line=end + 1 + body[: len(body) - len(body.lstrip())].count("\n"),
        cached=header.cached,
    )
    _check(statement)
    _find_effects(statement, tables)
    for key, text, number in header.plans:
        try:
            if key == "sample":
                statement.samples.append(plan_hints.sample(text, number, statement.params, statement.lists))
            else:
                statement.allowances += plan_hints.allowances(text, number, statement.body)
        except ValueError as error:
            raise Problem(path, number, str(error)) from None
    return statement


class _Header:
    """What the `--` lines of a file say; raises Problem."""

    def __init__(self, path: str, lines: list[str]) -> None:
        self.params: dict[str, str] = {}
        self.plans: list[tuple[str, str, int]] = []  # sample or allow, text, line
        found: dict[str, tuple[str, int]] = {}
        purpose, key = [], None
        for number, parts in enumerate(HEADER_LINE.finditer("\n".join(lines)), 1):
            text = (parts["text"] or "").strip()
            if parts["key"]:
                key = parts["key"]
                if key in found and key in ("returns", "params"):
                    raise Problem(path, number, f"'{key}:' is there twice")
                found[key] = (parts["value"].strip(), number)
                if key in ("sample", "allow"):
                    self.plans.append((key, parts["value"].strip(), number))
            elif key is None:
                purpose.append(text)
            elif key == "params" and (param := PARAM_LINE.match(parts["text"])):
                if param[1] in self.params:
                    raise Problem(path, number, f"parameter {param[1]} is declared twice")
                self.params[param[1]] = param[2] or ""
            elif key in ("sample", "allow"):
                section, before, first = self.plans[-1]
                self.plans[-1] = section, f"{before} {text}", first
        if not " ".join(purpose).strip():
            raise Problem(path, 1, "the header is missing: begin with '-- ' and a sentence on what the statement does")
        for needed in ("used by", "returns"):
            if not found.get(needed, ("",))[0]:
                raise Problem(path, 1, f"the header has no '-- {needed}: …' line")
        self.returns, line_of_returns = found["returns"]
        if self.returns not in VERBS:
            what = f"'returns: {self.returns}' is not one of {', '.join(VERBS)}"
            raise Problem(path, line_of_returns, what)
        self.cached = None
        if "cache" in found:
            self.cached = "estimate" if re.match(r"estimate\b", found["cache"][0]) else "count"


def _find_effects(s: Statement, tables: AbstractSet[str] | None) -> None:
    """Note what the statement does; raise Problem where that is not certain, or not what its header says."""
    if s.returns in ("one", "many"):
        if not effects.only_reads(s.body):
            raise Problem(s.path, s.first_line, f"'returns: {s.returns}' wants a SELECT that stores nothing (no INTO)")
        s.reads_only = not LOCKS.search(effects.bare(s.body))
        return
    try:
        s.changes = effects.changed_by(s.body)
    except ValueError as error:
        raise Problem(s.path, s.first_line, str(error)) from None
    for table in sorted(s.changes - tables) if tables is not None else ():
        what = f"changes {table}, which no migration creates as a table; write a table's name as it is written there"
        raise Problem(s.path, s.line_of(table), what)


def _check(s: Statement) -> None:
    """Raise Problem where the statement breaks a rule or is not what its header says."""
    if not s.body:
        raise Problem(s.path, s.first_line, "there is no statement after the header")
    first = s.body.split()[0]
    verb = (re.split(r"\W", first, maxsplit=1)[0] or first).upper()
    if verb not in VERBS[s.returns]:
        what = f"'returns: {s.returns}' wants {' or '.join(VERBS[s.returns])}, and the statement begins with {verb}"
        raise Problem(s.path, s.first_line, what)
    bare = effects.bare(s.body)
    if (at := effects.unclosed(s.body)) is not None:
        what = "a quote or a comment is not closed, or a server would run the comment: write it out"
        raise Problem(s.path, s.line_at(at), what)
    if (at := bare.find(";")) >= 0:
        raise Problem(s.path, s.line_at(at), "one statement a file: there is something after the semicolon")
    if star := STAR.search(bare):
        raise Problem(s.path, s.line_at(star.end() - 1), "SELECT names its columns: no *")
    if percent := BARE_PERCENT.search(s.body.replace("%%", "  ")):
        raise Problem(s.path, s.line_at(percent.start()), "a bare % would be taken for a parameter: write %%")
    for placeholder in PLACEHOLDER.finditer(s.body):
        if placeholder[1] not in s.params:
            what = f"parameter {placeholder[1]} is not declared under '-- params:'"
            raise Problem(s.path, s.line_at(placeholder.start()), what)
    used = set(PLACEHOLDER.findall(s.body))
    for param in s.params:
        if param not in used:
            raise Problem(s.path, 1, f"parameter {param} is declared and not used")
