"""Give a registered account the role of an administrator."""

from commands.embedded import owner_url
from core.database import Database
from core.statements import Statements
from core.system import ROOT, Stop, say

HELP = "make a registered account an administrator"


def arguments(parser):
    """Declare the options."""
    parser.add_argument("name", metavar="NAME", help="the account's username")


def run(options, config, shop):
    """Give the role and say so."""
    with owner_url(config) as url:
        database = Database(url, Statements(ROOT / "sql"), 10)
        database.transaction(lambda db: promote(db, options.name))
    return 0


def promote(db, name):
    """Give the role to the account of this name; raise Stop if there is none."""
    account = db.one("users/role", username=name) if name.isascii() else None
    if account is None:
        raise Stop(f"There is no account {name!r}. Check the spelling, or let its owner register first.")
    db.run("users/make_admin", username=name)
    say(f"{account['username']} is an administrator" + (" already." if account["role"] == "admin" else " now."))
