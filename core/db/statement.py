"""One SQL file: its header, its statement, and what is wrong with either, said with file and line.

A file is a header of `--` lines, which header.py reads, and one statement.

Values are bound by the driver; nothing else ever gets into the text, so a variant (another order, say) is another file.
`IN %(ids)s` takes a tuple of numbers, never an empty one. (0,) stands for "do not filter on this" where the file says
`(0 IN %(ids)s OR id IN %(ids)s)`: the server computes the first part before it plans.
"""

import dataclasses
import re
from collections.abc import Set as AbstractSet

from core.db import effects
from core.db.header import Header, Problem

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


@dataclasses.dataclass(eq=False)
class Statement:
    """One checked statement. `text` is what goes to the driver, with the name in front for the slow log."""

    name: str
    path: str  # relative, as in messages
    header: Header
    body: str  # the statement as in the file
    first_line: int  # of the body in the file, counted from 1
    changes: frozenset[str] = frozenset()  # tables
    reads_only: bool = False

    def __post_init__(self) -> None:
        self.returns = self.header.returns
        self.params = self.header.params
        self.columns = self.header.columns
        self.cached = self.header.cached
        self.may_lag = self.header.may_lag
        self.samples = self.header.samples
        self.allowances = self.header.allowances
        self.text = f"/* {self.name} */ {self._limited()}"
        self.lists = frozenset(IN_LIST.findall(self.body))  # parameters that are tuples

    def _limited(self) -> str:
        """Return the body with its time limit, as MariaDB and as MySQL write it: for the other, each is a comment."""
        seconds = self.header.timeout
        if not seconds:
            return self.body
        verb, rest = self.body[: len("SELECT")], self.body[len("SELECT") :]
        hint = f"/*+ MAX_EXECUTION_TIME({round(seconds * 1000)}) */"
        return f"/*M! SET STATEMENT max_statement_time={seconds} FOR */ {verb} {hint}{rest}"

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


def parse(
    name: str, path: str, source: str, tables: AbstractSet[str] | None = None, like: Statement | None = None
) -> Statement:
    """Check one file's text and return its Statement; raise Problem for the first thing that is wrong.

    `tables`: all that there are; a statement may change no other. `like`: the statement that its header names, if any.
    """
    lines = source.replace("\r\n", "\n").split("\n")
    end = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    rest = "\n".join(lines[end:])
    body = rest.strip().removesuffix(";").rstrip()
    header = Header(path, lines[:end], like.header if like else None)
    header.read_plans(body, IN_LIST.findall(body))
    statement = Statement(name, path, header, body, end + 1 + rest[: len(rest) - len(rest.lstrip())].count("\n"))
    _check(statement)
    _find_effects(statement, tables)
    return statement


def _find_effects(s: Statement, tables: AbstractSet[str] | None) -> None:
    """Note what the statement does; raise Problem where that is not certain, or not what its header says."""
    if s.returns in ("one", "many"):
        if s.header.changes:
            raise s.header.problem("changes", f"'returns: {s.returns}' changes nothing")
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
    if s.changes != s.header.changes:
        what = f"the statement changes {', '.join(sorted(s.changes))}, and no other table"
        raise s.header.problem("changes", what)


def _check(s: Statement) -> None:
    """Raise Problem where the statement breaks a rule or is not what its header says."""
    if not s.body:
        raise Problem(s.path, s.first_line, "there is no statement after the header")
    first = s.body.split()[0]
    verb = (re.split(r"\W", first, maxsplit=1)[0] or first).upper()
    if verb not in VERBS[s.returns]:
        what = f"'returns: {s.returns}' wants {' or '.join(VERBS[s.returns])}, and the statement begins with {verb}"
        raise Problem(s.path, s.first_line, what)
    if s.header.timeout and verb != "SELECT":
        raise s.header.problem("timeout", "only a statement that begins with SELECT can have one on both servers")
    if s.may_lag and (s.returns in ("count", "id") or LOCKS.search(effects.bare(s.body))):
        raise s.header.problem("replica", "only what reads, and locks nothing, can run on a replica")
    if s.header.columns and s.returns in ("count", "id"):
        raise s.header.problem("columns", f"'returns: {s.returns}' has no columns")
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
