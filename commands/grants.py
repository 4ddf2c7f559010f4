"""Print the least rights of the account that serves, as GRANT statements, read from the files of sql/.

Run them as the database's owner, after `migrate`, and again when an upgrade or an edit of sql/ needs another right.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from core.cli import CommandError, say
from core.config import Config
from core.db import rights
from core.db.owner import least_rights
from core.db.statements import Statements
from core.setup.embedded import ACCOUNT, DATABASE
from core.setup.system import ROOT

HELP = "print the least rights of the account that serves, as GRANT statements"


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--user", metavar="NAME", help="the account that serves, NAME or NAME@HOST (default: that of DATABASE_URL)"
    )


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Print them, a table each; exit status 1 where a statement's tables are not certain."""
    url = config.database
    account = options.user if options.user is not None else url.user if url else ACCOUNT
    try:
        found = rights.grants(
            least_rights(Statements(ROOT / "sql", tuned=config.sql_overlay, more=[ROOT / "reports"])),
            url.database if url else DATABASE,
            account,
        )
    except ValueError as error:
        raise CommandError(f"--user: {error}.", code=2) from None
    say("-- GRANT takes nothing away. What SHOW GRANTS has beside these is not needed: REVOKE it.")
    for grant in found:
        say(f"{grant};")
    return 0
