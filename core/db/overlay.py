"""SQL_OVERLAY=DIR: tuned versions of single files of sql/ in a folder of one's own, which an upgrade leaves alone.

    DIR/products/list_price.sql     runs in place of sql/products/list_price.sql

For the code a tuned version is the same: parameters, columns, what it returns, changes and locks are those of the
released file, or it is refused. Its header has the SHA-256 of the file that it was made from, so that an upgrade which
changes that file says so:

    -- replaces: 1f3a…                  of sha256sum; python3 server.py overlay NAME writes it
"""

import hashlib
import pathlib
import re
from collections.abc import Collection

from core.config import ROOT
from core.db import effects
from core.db.columns import written
from core.db.header import Problem
from core.db.statement import LOCKS, Statement

REPLACES = re.compile(r"^-- replaces:.*\n", re.M)
CHECKSUM = re.compile(r"[0-9a-f]{64}\Z")


def names(folder: pathlib.Path) -> list[str]:
    """Return the names of the tuned versions in a folder, in order."""
    return [path.relative_to(folder).with_suffix("").as_posix() for path in sorted(folder.rglob("*.sql"))]


def strangers(folder: pathlib.Path, known: Collection[str]) -> list[Problem]:
    """Return a Problem where the folder is not there, or for each file that stands for none of those known."""
    if not folder.is_dir():
        return [Problem(shown(folder), 1, "SQL_OVERLAY names this folder, and it is not there; make it")]
    return [
        Problem(shown(folder / f"{name}.sql"), 1, f"there is no sql/{name}.sql for which it could stand; remove it")
        for name in names(folder)
        if name not in known
    ]


def shown(path: pathlib.Path) -> str:
    """Return a path as messages have it: relative to the program where it is within."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def checksum(source: str) -> str:
    """Return the SHA-256 of a file's text, in hexadecimal; line ends do not count."""
    return hashlib.sha256(source.replace("\r\n", "\n").encode()).hexdigest()


def require_same(tuned: Statement, released: Statement) -> None:
    """Raise Problem where a tuned version is not, for the code, what it stands for."""
    header = tuned.header
    if not CHECKSUM.match(header.said("replaces")):
        raise header.problem(
            "replaces", f"it wants the SHA-256 of the file that this one was made from ({released.path})"
        )
    for key, mine, its in (
        ("returns", tuned.returns, released.returns),
        ("params", ", ".join(sorted(tuned.params)), ", ".join(sorted(released.params))),
        ("columns", written(tuned.columns), written(released.columns)),
        ("changes", ", ".join(sorted(tuned.changes)), ", ".join(sorted(released.changes))),
    ):
        if mine != its:
            raise header.problem(key, f"{released.path} has {its or 'none'}, and the code wants the same here")
    if tuned.lists != released.lists:
        name = min(tuned.lists ^ released.lists)
        raise Problem(
            tuned.path, tuned.line_of(name), f"{name} must stand behind IN here if it does in {released.path}"
        )
    if tuned.may_lag and not released.may_lag:
        raise header.problem("replica", f"{released.path} has no such line: the code wants the newest rows")
    if _locks(tuned) != _locks(released):
        raise Problem(
            tuned.path, tuned.first_line, f"locks rows, or not, other than {released.path}: the code wants the same"
        )


def _locks(statement: Statement) -> list[str]:
    return [" ".join(lock.upper().split()) for lock in LOCKS.findall(effects.bare(statement.body))]


def outdated(tuned: Statement, source: str) -> str | None:
    """Return what to do if a released file, whose text this is, changed since the tuned version was made, or None."""
    if tuned.header.said("replaces") == checksum(source):
        return None
    return (
        f"Your {tuned.path} was made for an older sql/{tuned.name}.sql, and is in use. Compare the two, take over what "
        f"changed, and type: python3 server.py overlay --renew {tuned.name}; or remove it."
    )


def marked(text: str, source: str) -> str:
    """Return a text of a SQL file whose header says that it replaces the released file whose text is `source`."""
    lines = REPLACES.sub("", text.replace("\r\n", "\n")).split("\n")
    end = next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return "\n".join([*lines[:end], f"-- replaces: {checksum(source)}", *lines[end:]])
