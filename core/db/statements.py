"""Reads sql/, checks every header, and knows each statement by its name ("cart/add" is sql/cart/add.sql).

A file is a header of `--` lines and one statement:

    -- Products on sale, cheapest first; one page.       what it does, in one sentence or more
    -- used by: GET /api/products?sort=price             who runs it
    -- returns: many                                     one | many (rows), count (rows changed), id (the new row's)
    -- params:  NULL means "do not filter on this"       the %(parameters)s of the statement, all of them
    --   category_id  exact
    -- sample: category_id=7                             what its plan is looked at with, and
    -- allow: full scan on categories (there are few)    what the plan may do: see plan_hints.py, and `check --plans`
    -- cache: counting takes long                        rows may be some seconds old, for this reason; with
                                                         "estimate, …" some minutes
    -- plan: ix_products_price                           free text after that: plans, warnings, reasons
    SELECT …

What is wrong is said with file and line, all at once. Values are bound by the driver; nothing else ever gets into
the text, so a variant (another order, say) is another file.
"""

import ast
import functools
import logging
import os
import pathlib
import re
import threading

from core.cli import CommandError
from core.config import ROOT
from core.db import effects, plan_hints

log = logging.getLogger("bodega.sql")

RETURNS = ("one", "many", "count", "id")
ORDERLY = re.compile(
    r"--(?: (?P<key>used by|returns|params|sample|allow|cache|plan|note): *(?P<value>.*)|(?P<text>.*))"
)
PARAM_LINE = re.compile(r" {3}([a-z][a-z0-9_]*)(?: {2,}(\S.*))?\Z")
PLACEHOLDER = re.compile(r"%\(([a-z][a-z0-9_]*)\)s")
VERBS = {
    "one": ("SELECT", "WITH"),
    "many": ("SELECT", "WITH"),
    "id": ("INSERT",),
    "count": ("INSERT", "UPDATE", "DELETE", "TRUNCATE"),
}
NAMED = re.compile(r"[a-z_]+/[a-z0-9_]*[^\w\s]*[a-z]?")  # a statement's name in Python, or the beginning of one
NO_NOUNS = {"application", "font", "image", "migrations", "multipart", "text"}  # media types, and the other folder
LOCKS = re.compile(r"\bFOR\s+(?:UPDATE|SHARE)\b|\bLOCK\s+IN\s+SHARE\s+MODE\b", re.I)
STAR = re.compile(r"(?:\b(?:SELECT|DISTINCT|ALL)\s+|[.,]\s*)\*", re.I)


class Problem(ValueError):
    """Something is wrong in a SQL file; reads "sql/cart/add.sql:7: what is wrong"."""

    def __init__(self, path, line, what):
        super().__init__(f"{path}:{line}: {what}")
        self.what = what


class Statement:
    """One checked statement. `text` is what goes to the driver, with the name in front for the slow log."""

    def __init__(self, name, path, *, purpose, returns, params, body, first_line, cached=None):
        self.name = name
        self.path = path  # relative, as in messages
        self.purpose = purpose
        self.returns = returns
        self.params = params  # {name: what the header says of it}
        self.body = body  # the statement as in the file
        self.first_line = first_line  # of the body in the file, counted from 1
        self.text = f"/* {name} */ {body}"
        self.cached = cached  # "count": the answer may be some seconds old; "estimate": some minutes; or None
        self.samples, self.allowances = [], []  # what plan_hints.py made of the header
        self.changes = frozenset()  # names of tables
        self.reads_only = False

    def prepared(self):
        """Return the statement with `?` for each parameter, for the server's PREPARE."""
        return PLACEHOLDER.sub("?", self.text).replace("%%", "%")

    def line_of(self, word):
        """Return the file's line in which a word of the statement stands first."""
        found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", self.body, re.I) if word else None
        return self.first_line + (self.body.count("\n", 0, found.start()) if found else 0)


def parse(name, path, source, tables=None):
    """Check one file's text and return its Statement; raise Problem for the first thing that is wrong.

    `tables`: the names of all that there are; a statement may change no other.
    """
    lines = source.replace("\r\n", "\n").split("\n")
    header = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    found, params, purpose, plans, section = {}, {}, [], [], None
    for number, line in enumerate(lines[:header], 1):
        parts = ORDERLY.fullmatch(line)
        if parts["key"]:
            section = parts["key"]
            if section in found and section in ("returns", "params"):
                raise Problem(path, number, f"'{section}:' stands twice")
            found[section] = (parts["value"].strip(), number)
            if section in ("sample", "allow"):
                plans.append([section, parts["value"].strip(), number])
        elif section is None:
            purpose.append(parts["text"].strip())
        elif section == "params" and (param := PARAM_LINE.match(parts["text"])):
            if param[1] in params:
                raise Problem(path, number, f"parameter {param[1]} is declared twice")
            params[param[1]] = param[2] or ""
        elif section in ("sample", "allow"):
            plans[-1][1] += " " + parts["text"].strip()
    if not " ".join(purpose).strip():
        raise Problem(path, 1, "the header is missing: begin with '-- ' and a sentence on what the statement does")
    for key in ("used by", "returns"):
        if not found.get(key, ("",))[0]:
            raise Problem(path, 1, f"the header has no '-- {key}: …' line")
    returns, at = found["returns"]
    if returns not in RETURNS:
        raise Problem(path, at, f"'returns: {returns}' is not one of {', '.join(RETURNS)}")
    body = "\n".join(lines[header:])
    first = header + 1 + body[: len(body) - len(body.lstrip())].count("\n")
    body = body.strip()
    statement = Statement(
        name,
        path,
        purpose=" ".join(purpose).strip(),
        returns=returns,
        params=params,
        body=body.removesuffix(";").rstrip(),
        first_line=first,
        cached=_cached(found["cache"][0]) if "cache" in found else None,
    )
    _check(statement)
    _find_effects(statement, tables)
    for section, text, number in plans:
        _add_to_plans(statement, section, text, number)
    return statement


def _add_to_plans(statement, section, text, number):
    """Give the statement a sample or an allowance of its header; raise Problem."""
    try:
        if section == "sample":
            statement.samples.append(plan_hints.sample(text, number, statement.params))
        else:
            statement.allowances += plan_hints.allowances(text, number, statement.body)
    except ValueError as error:
        raise Problem(statement.path, number, str(error)) from None


def _cached(reason):
    """Return how long an answer may be kept, by what the header says after "cache:"."""
    return "estimate" if re.match(r"estimate\b", reason) else "count"


def _find_effects(s, tables):
    """Note what the statement does; raise Problem where that cannot be told, or is not what its header says."""
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


def _check(s):
    """Raise Problem where the statement breaks a rule or is not what its header says."""
    if not s.body:
        raise Problem(s.path, s.first_line, "there is no statement after the header")
    verb = re.match(r"\w*", s.body)[0].upper() or s.body.split()[0]
    if verb not in VERBS[s.returns]:
        wanted = " or ".join(VERBS[s.returns])
        raise Problem(
            s.path, s.first_line, f"'returns: {s.returns}' wants {wanted}, and the statement begins with {verb}"
        )
    bare = effects.bare(s.body)

    def line(at):
        return s.first_line + s.body.count("\n", 0, at)

    if (at := effects.unclosed(s.body)) is not None:
        what = "a quote or a comment is not closed, or a server would run the comment: write it out"
        raise Problem(s.path, line(at), what)
    if (at := bare.find(";")) >= 0:
        raise Problem(s.path, line(at), "one statement a file: there is something after the semicolon")
    if star := STAR.search(bare):
        raise Problem(s.path, line(star.end() - 1), "SELECT names its columns: no *")
    if percent := re.search(r"%(?!%|\([a-z][a-z0-9_]*\)s)", s.body.replace("%%", "  ")):
        raise Problem(s.path, line(percent.start()), "a bare % would be taken for a parameter: write %%")
    used = {m[1]: m.start() for m in reversed(list(PLACEHOLDER.finditer(s.body)))}
    for param in sorted(used, key=used.get):
        if param not in s.params:
            raise Problem(s.path, line(used[param]), f"parameter {param} is not declared under '-- params:'")
    for param in s.params:
        if param not in used:
            raise Problem(s.path, 1, f"parameter {param} is declared and not used")


def require_sound(problems):
    """Raise CommandError with what is wrong, a line each, if anything is."""
    if problems:
        raise CommandError("\n".join(map(str, problems)) + "\nMend them; python3 server.py check looks again.")


def missing(folder, sources):
    """Return a Problem for each statement that the code runs and that has no file.

    `sources`: the Python files to look through. A name stands there as one text, "cart/add" or 'cart/add'; one that is
    put together ("cart/" + verb, f"cart/{verb}") is a Problem too, as nobody could tell which files it needs.
    """
    found = []
    for source in sources:
        for line, name in _named_in(source):
            if not (pathlib.Path(folder) / f"{name}.sql").exists():
                what = f"runs sql/{name}.sql, which is not there; put it back"
                if not re.fullmatch(r"\w+/\w*[a-z0-9]", name):
                    what = f"puts the name of a statement together from {name!r}; write it out"
                found.append(Problem(os.path.relpath(source, ROOT), line, what))
    return found


@functools.cache  # it is the code of the start that runs
def _named_in(source):
    """Return [(line, name)] of the statements, and of beginnings of names, that a Python file names."""
    nodes = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    texts = [(n.lineno, n.value) for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [(line, text) for line, text in texts if NAMED.fullmatch(text) and text.split("/")[0] not in NO_NOUNS]


class Statements:
    """All statements of a folder. `reload=True` looks at a file again whenever it is asked for.

    `tables`: the names of all that there are, of which alone a statement may change some; None where that is checked
    elsewhere.
    """

    def __init__(self, folder, reload=False, tables=None):
        self.folder = pathlib.Path(folder)
        self.reload = reload
        self.tables = tables
        self.problems = []
        self._by_name, self._seen, self._lock = {}, {}, threading.Lock()
        for path in sorted(self.folder.glob("*/*.sql")):
            name = self._name(path)
            try:
                self._seen[name] = _stamp(path)
                self._by_name[name] = self._read(name, path)
            except Problem as problem:
                self.problems.append(problem)

    def __iter__(self):
        return iter(self._by_name.values())

    def __getitem__(self, name):
        return self._by_name[name]

    def get(self, name, check=None):
        """Return the statement of this name; KeyError if there is none.

        When reloading, an edited file is read, given to `check` (which raises Problem) and taken from then on;
        a broken edit is logged once and the last good version stays.
        """
        if self.reload:
            self._renew(name, check)
        return self._by_name[name]

    def _renew(self, name, check):
        path = self.folder / f"{name}.sql"
        with self._lock:
            stamp = _stamp(path)
            if stamp == self._seen.get(name):
                return
            try:
                statement = self._read(name, path)
                if check:
                    check(statement)
            except Problem as problem:
                log.error("%s; the last good version stays in use", problem)
            else:
                self._by_name[name] = statement
                log.info("%s was edited and is in use", statement.path)
            self._seen[name] = stamp  # last: where `check` could not reach the database, the file is looked at again

    def _name(self, path):
        return path.relative_to(self.folder).with_suffix("").as_posix()

    def _read(self, name, path):
        shown = f"{self.folder.name}/{name}.sql"
        try:
            return parse(name, shown, path.read_text(encoding="utf-8"), self.tables)
        except (OSError, UnicodeDecodeError) as error:
            raise Problem(shown, 1, f"cannot be read: {error}") from None


def _stamp(path):
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
