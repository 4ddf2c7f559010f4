"""Write the columns that the server says a statement returns into its header: `check --write-columns`.

Once for each server: what MySQL says is wider here and there, and is then written; what MariaDB says fits it.
"""

import pathlib
import re
import textwrap
from collections.abc import Iterable
from typing import Any

from commands.check_samples import raise_if_lost
from core.cli import say
from core.db.columns import Column, Columns, written
from core.db.drivers import DatabaseError
from core.db.statement import Statement

WIDTH = 120
DECLARED = re.compile(r"^-- columns:.*\n(?:--   .*\n)*", re.M)
BEFORE = re.compile(r"^-- returns: .*\n", re.M)


def write(connection: Any, statements: Iterable[Statement], folder: pathlib.Path) -> None:
    """Write them where a header has none, or others; say which files were changed.

    `connection`: of drivers.connect_to_check. `folder`: sql/, where they are. A statement that the server refuses is
    left to the check after this.
    """
    for statement in statements:
        if statement.returns not in ("one", "many") or "columns" in statement.header.taken_over:
            continue
        try:
            found = dict(connection.describe(statement.prepared()))
        except DatabaseError as error:
            raise_if_lost(error)
            continue
        columns = {name: _wider(statement.columns.get(name), column) for name, column in found.items()}
        if columns != statement.columns:
            _write(folder.parent / statement.path, columns)
            say(f"{statement.path}: columns written. Look whether each of them may leave.")


def _wider(declared: Column | None, found: Column) -> Column:
    return declared if declared and declared.covers(found) else found


def _write(path: pathlib.Path, columns: Columns) -> None:
    text = path.read_text(encoding="utf-8")
    whole = [part.replace(" ", "\N{NO-BREAK SPACE}") for part in written(columns).split(", ")]  # not parted at ends
    lines = textwrap.wrap(f"-- columns: {', '.join(whole)}", WIDTH, subsequent_indent="--   ", break_on_hyphens=False)
    line = "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ") + "\n"
    if DECLARED.search(text):
        text = DECLARED.sub(lambda _: line, text, count=1)
    else:
        text = BEFORE.sub(lambda found: found[0] + line, text, count=1)
    path.write_text(text, encoding="utf-8")
