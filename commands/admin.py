"""Give a registered account the role of an administrator, or take it back."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from core import logs
from core.cli import CommandError, say
from core.config import Config
from core.db.owner import in_transaction, owner_url
from core.db.session import Row, Session
from core.identity import audit

HELP = "make a registered account an administrator (--revoke: no longer one)"


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("name", metavar="NAME", help="the account's username")
    parser.add_argument("--revoke", action="store_true", help="take the role back")


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Change the role and say so."""
    logs.configure(config.log_level, config.log_format)
    role = "customer" if options.revoke else "admin"
    with owner_url(config) as url:
        account = in_transaction(url, lambda db: set_role(db, options.name, role))
    name, word = account["username"], "no administrator" if options.revoke else "an administrator"
    say(f"{name} has the e-mail address {account['email']} and registered on {account['created_at']:%Y-%m-%d} (UTC).")
    if account["role"] == role:
        say(f"{name} is {word} already.")
    else:
        audit.write("role_change", user_id=account["id"], role=role, by="command-line")
        say(f"{name} is {word} any more." if options.revoke else f"{name} is {word} now.")
    return 0


def set_role(db: Session, name: str, role: str) -> Row:
    """Set the role of the account of this name; return it as it was. Raises CommandError if there is none."""
    account = db.one("users/role", username=name) if name.isascii() else None
    if account is None:
        raise CommandError(f"There is no account {name!r}. Check the spelling, or let its owner register first.")
    db.run("users/set_role", username=name, role=role)
    return account
