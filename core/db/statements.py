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
from core.db.statement import Problem, Statement, parse

log = logging.getLogger("bodega.sql")

NAMED = re.compile(r"[a-z_]+/[a-z0-9_]*[^\w\s]*[a-z]?")  # a statement's name in Python, or the beginning of one
Check = Callable[[Statement], Problem | None]
NO_FOLDERS = {"application", "font", "image", "migrations", "multipart", "text"}  # media types, and another folder


def require_sound(problems: Iterable[Exception]) -> None:
    """Raise CommandError with the problems, a line each, if there are any."""
    if lines := [str(problem) for problem in problems]:
        raise CommandError("\n".join(lines) + "\nCorrect them; python3 server.py check looks again.")


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

    `tables`: all that there are; a statement may change no other. None where that is checked elsewhere.
    """

    def __init__(self, folder: pathlib.Path, reload: bool = False, tables: AbstractSet[str] | None = None) -> None:
        self.folder = folder
        self.reload = reload
        self.tables = tables
        self.problems: list[Problem] = []
        self._by_name: dict[str, Statement] = {}
        self._seen: dict[str, object] = {}
        self._lock = threading.Lock()
        for path in sorted(self.folder.glob("*/*.sql")):
            name = self._name(path)
            try:
                self._seen[name] = _stamp(path)
                self._by_name[name] = self._read(name, path)
            except Problem as problem:
                self.problems.append(problem)

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

    def _renew(self, name: str, check: Check | None) -> None:
        path = self.folder / f"{name}.sql"
        with self._lock:
            stamp = _stamp(path)
            if stamp == self._seen.get(name):
                return
            try:
                statement = self._read(name, path)
                if check and (refused := check(statement)):
                    raise refused
            except Problem as problem:
                log.error("%s; the last good version stays in use", problem)
            else:
                self._by_name[name] = statement
                log.info("%s was edited and is in use", statement.path)
            self._seen[name] = stamp  # last: where `check` could not reach the database, the file is looked at again

    def _name(self, path: pathlib.Path) -> str:
        return path.relative_to(self.folder).with_suffix("").as_posix()

    def _read(self, name: str, path: pathlib.Path) -> Statement:
        shown = f"{self.folder.name}/{name}.sql"
        try:
            return parse(name, shown, path.read_text(encoding="utf-8"), self.tables)
        except (OSError, UnicodeDecodeError) as error:
            raise Problem(shown, 1, f"cannot be read: {error}") from None


def _stamp(path: pathlib.Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
