"""Tune a statement in a folder of your own, SQL_OVERLAY: list what is there, or make a copy to edit.

An upgrade leaves the folder alone, and says which of its files were made for an older version.
"""

import pathlib
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from commands import check_templates
from core.cli import CommandError, say, say_table
from core.config import Config
from core.db import overlay
from core.db.statements import Statements, require_sound
from core.setup.system import ROOT

TEMPLATES = re.compile(rf"^{check_templates.NOTE}.*\n", re.M)  # does not hold for a version of one's own
HELP = "tune a file of sql/ in a folder of your own (SQL_OVERLAY): list, copy one, or renew its checksum"


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="copy this statement: products/list_price")
    parser.add_argument(
        "--renew", action="store_true", help="NAME is there, and right for the released file as it is now: write so"
    )


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """List, copy or renew; exit status 1 where a file is wrong, or was made for an older version."""
    folder = config.sql_overlay
    if not folder:
        raise CommandError("SQL_OVERLAY is not set. Set it to a folder for your versions of files of sql/.")
    if options.name:
        _write(options.name, folder, options.renew)
        return 0
    statements = Statements(ROOT / "sql", tuned=folder)
    require_sound(statements.problems)
    older = statements.outdated()
    if names := overlay.names(folder):
        say_table(
            [
                ("in use", "in place of"),
                *((statements[name].path, overlay.shown(ROOT / "sql" / f"{name}.sql")) for name in names),
            ]
        )
    else:
        say(f"{overlay.shown(folder)} has no file; all statements run as released.")
    for sentence in older:
        say(sentence)
    return 1 if older else 0


def _write(name: str, folder: pathlib.Path, renew: bool) -> None:
    released, path = ROOT / "sql" / f"{name}.sql", folder / f"{name}.sql"
    if released not in (ROOT / "sql").glob("*/*.sql"):
        raise CommandError(f"There is no sql/{name}.sql. A name is products/list_price, say.", code=2)
    if path.exists() != renew:
        raise CommandError(
            f"{overlay.shown(path)} is {'not there' if renew else 'there already'}; nothing was changed."
        )
    source = released.read_text(encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8") if renew else TEMPLATES.sub("", source)
    path.write_text(overlay.marked(text, source), encoding="utf-8")
    say(f"{overlay.shown(path)} stands for sql/{name}.sql as it is now.")
