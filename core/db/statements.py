"""The statements of sql/ by name: "cart/add" is sql/cart/add.sql. What is wrong is said all at once."""

import ast
import functools
import logging
import os
import pathlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet

from core.cli import CommandError
from core.config import ROOT
from core.db import header, overlay
from core.db.statement import Problem, Statement, parse

log = logging.getLogger("bodega.sql")

NAMED = re.compile(r"[a-z_]+/[a-z0-9_]*[^\w\s]*[a-z]?")  # a statement's name in Python, or the beginning of one
Check = Callable[[Statement], Problem | None]
NO_FOLDERS = {"application", "font", "image", "migrations", "multipart", "text"}  # media types, and another folder


def require_sound(problems: Iterable[Exception]) -> None:
    """Raise CommandError with the problems, a line each, if there are any."""
    if lines := [str(problem) for problem in problems]:
        raise CommandError("\n".join(lines) + "\nCorrect them; python3 server.py check looks again.")


def called_otherwise(statement: Statement, known: Statement) -> Problem | None:
    """Return a Problem where the code, which knows an older version of a file, could not run this one."""
    if (statement.returns, statement.params.keys(), statement.lists) == (
        known.returns,
        known.params.keys(),
        known.lists,
    ):
        return None
    what = f"the code that runs knows it with {', '.join(sorted(known.params)) or 'no parameters'}, and that it returns"
    return Problem(statement.path, 1, f"{what} {known.returns}; to run it otherwise takes a restart")


def missing(folder: pathlib.Path, sources: Iterable[pathlib.Path]) -> list[Problem]:
    """Return a Problem for each statement that the code runs and that has no file.

    `sources`: the Python files to look through. A name is written there as one text, "cart/add"; one that is put
    together ("cart/" + verb, f"cart/{verb}") is a Problem too, as nobody could tell which files it needs.
    """
    found = []
    for source in sources:
        for line, name in _named_in(source):
            if not (folder / f"{name}.sql").exists():
                what = f"runs sql/{name}.sql, which is not there; put it back"
                if not re.fullmatch(r"\w+/\w*[a-z0-9]", name):
                    what = f"puts the name of a statement together from {name!r}; write it out"
                found.append(Problem(os.path.relpath(source, ROOT), line, what))
    return found


@functools.cache  # the code of the start is the code that runs
def _named_in(source: pathlib.Path) -> list[tuple[int, str]]:
    """Return [(line, name)] of the statements, and of beginnings of names, that a Python file names."""
    nodes = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    texts = [(n.lineno, n.value) for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [(line, text) for line, text in texts if NAMED.fullmatch(text) and text.split("/")[0] not in NO_FOLDERS]


class Statements:
    """All statements of a folder. `reload=True` looks at a file again whenever it is asked for.

    `tables`: all that there are; a statement may change no other. None where that is checked elsewhere. `tuned`: a
    folder with versions that run in place of those of the first one, see overlay.py. `more`: folders beside the first
    one whose statements belong to it; those that have no folders give their name to their files.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        reload: bool = False,
        tables: AbstractSet[str] | None = None,
        tuned: pathlib.Path | None = None,
        more: Iterable[pathlib.Path] = (),
    ) -> None:
        self.folder = folder
        self.tuned = tuned
        self.reload = reload
        self.tables = tables
        self.problems: list[Problem] = []
        self._by_name: dict[str, Statement] = {}
        self._seen: dict[str, object] = {}
        self._lock = threading.Lock()
        paths = sorted(path for each in (folder, *more) for path in each.glob("**/*.sql"))
        self._paths = {self._name(path): path for path in paths}
        stamps = {name: self._stamp(name) for name in self._paths}  # first: an edit meanwhile is seen later
        for name in self._paths:
            try:
                self._by_name[name] = self._read(name)
            except Problem as problem:
                self.problems.append(problem)
            self._seen[name] = stamps[name], stamps.get(self._like(name))
        if tuned:
            self.problems += overlay.strangers(tuned, self._paths)

    def __iter__(self) -> Iterator[Statement]:
        return iter(self._by_name.values())

    def __getitem__(self, name: str) -> Statement:
        return self._by_name[name]

    def get(self, name: str, check: Check | None = None) -> Statement:
        """Return the statement of this name; KeyError if there is none.

        When reloading, an edited file is read, given to `check` and, if that returns no Problem, used from then on;
        a broken edit is logged once and the last good version stays.
        """
        if self.reload:
            self._renew(name, check)
        return self._by_name[name]

    def source(self, name: str) -> str:
        """Return the text of the file that a statement comes from, as it is now; raise KeyError, or Problem."""
        statement, own = self._by_name[name], self.tuned and self.tuned / f"{name}.sql"
        return _text(own if own and own.exists() else self._path(name), statement.path)

    def _renew(self, name: str, check: Check | None) -> None:
        with self._lock:
            like = self._like(name)
            stamp = self._stamp(name), self._stamp(like) if like else None
            if stamp == self._seen.get(name):
                return
            try:
                statement = self._read(name)
                known = self._by_name.get(name)
                if refused := (known and called_otherwise(statement, known)) or (check and check(statement)):
                    raise refused
            except Problem as problem:
                log.error("%s; the last good version stays in use", problem)
            else:
                self._by_name[name] = statement
                log.info("%s was edited and is in use", statement.path)
            self._seen[name] = stamp  # last: where `check` could not reach the database, the file is looked at again

    def called_otherwise(self, before: "Statements") -> list[Problem]:
        """Return a Problem for each statement that code which runs those of `before` could not run."""
        known = {statement.name: statement for statement in before}
        found = [called_otherwise(one, known[one.name]) for one in self if one.name in known]
        return list(filter(None, found))

    def outdated(self, among: Iterable[Statement] | None = None) -> list[str]:
        """Return what to do about each tuned version that was made for an older file than the one that is here."""
        found = []
        for statement in self if among is None else among:
            if self.tuned and statement.header.said("replaces"):
                source = _text(self._path(statement.name), statement.path)
                found.append(overlay.outdated(statement, source))
        return list(filter(None, found))

    def log_tuned(self) -> None:
        """Log which tuned versions are in use, and what is to be done about them."""
        if tuned := [statement.name for statement in self if statement.header.said("replaces")]:
            log.info("SQL_OVERLAY has versions in use of %s", ", ".join(tuned))
        for sentence in self.outdated():
            log.warning(sentence)

    def _path(self, name: str) -> pathlib.Path:
        return self._paths.get(name, self.folder / f"{name}.sql")  # a file that is new stands in the first folder

    def _name(self, path: pathlib.Path) -> str:
        """Return cart/add for sql/cart/add.sql; checks/order_sums for a file right in its folder."""
        inside = path.is_relative_to(self.folder) and path.parent != self.folder
        return path.relative_to(self.folder if inside else self.folder.parent).with_suffix("").as_posix()

    def _stamp(self, name: str) -> tuple[object, object]:
        """Return what changes with each edit of the file, or of the tuned version."""
        return _stamp(self._path(name)), self.tuned and _stamp(self.tuned / f"{name}.sql")

    def _read(self, name: str) -> Statement:
        path = self._path(name)
        released = self._parsed(name, path, path.relative_to(self.folder.parent).as_posix())
        if released.header.said("replaces"):
            raise released.header.problem("replaces", "only a file in SQL_OVERLAY has this line")
        own = self.tuned / f"{name}.sql" if self.tuned else None
        if not own or not own.exists():
            return released
        tuned = self._parsed(name, own, overlay.shown(own))
        overlay.require_same(tuned, released)
        return tuned

    def _parsed(self, name: str, path: pathlib.Path, shown: str) -> Statement:
        source = _text(path, shown)
        base = header.like(source)
        return parse(name, shown, source, self.tables, self._base(base, shown) if base else None)

    def _base(self, name: str, asked_by: str) -> Statement:
        """Return the statement that the header of another one is like."""
        path = self.folder / f"{name}.sql"
        shown = f"{self.folder.name}/{name}.sql"
        if not path.exists():
            raise Problem(asked_by, 1, f"is like {name}, and there is no {shown}")
        source = _text(path, shown)
        if further := header.like(source):
            raise Problem(asked_by, 1, f"is like {name}, which is itself like {further}: name that one")
        return parse(name, shown, source, self.tables)

    def _like(self, name: str) -> str:
        """Return the name of the statement that this one is like; empty where it is like none."""
        known = self._by_name.get(name)
        return (known and known.header.like) or ""


def _text(path: pathlib.Path, shown: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(shown, 1, f"cannot be read: {error}") from None


def _stamp(path: pathlib.Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
