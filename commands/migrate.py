"""Bring the schema up to date, take a step back, or show where it stands."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from core.cli import confirm, say, say_table
from core.config import Config
from core.db.migrations import Migrator, State
from core.db.owner import owner_url

HELP = "apply migrations (up, the default), take the newest back (down), or show them (status)"


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("way", nargs="?", choices=("up", "down", "status"), default="up", help="default: up")
    parser.add_argument("--yes", action="store_true", help="take back without asking")


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Do one of the three, and say what was done."""
    with owner_url(config) as url:
        migrator = Migrator(url, say)
        if options.way == "status":
            return status(migrator.state())
        if options.way == "down":
            return down(migrator, options.yes)
        done = migrator.up()
        say(f"{len(done)} migration(s) applied." if done else "Nothing to do: the schema is current.")
    return 0


def down(migrator: Migrator, sure: bool) -> int:
    """Take the newest migration back; ask first unless `sure`, because its tables and columns go with their data."""
    state = migrator.state()
    newest = [migration.name for migration in state.migrations if migration.version in state.rows][-1:]
    if newest and not sure:
        confirm(f"Taking back {newest[0]} removes what it made, with the data in it. Go on?", "migrate down --yes")
    name = migrator.down()
    say(f"{name} is taken back." if name else "Nothing to do: no migration is applied.")
    return 0


def status(state: State) -> int:
    """Print a table of all migrations; exit status 1 where something is pending or wrong."""
    rows = [("migration", "state", "applied at (UTC)")]
    for migration in state.migrations:
        when = state.rows.get(migration.version, {}).get("finished_at")
        rows.append((migration.name, state.word(migration), str(when or "")))
    rows += [(row["name"], "unknown here", str(row["finished_at"] or "")) for row in state.unknown]
    say_table(rows)
    if state.problem:
        say("\n" + state.problem)
    elif state.pending:
        say(f"\n{len(state.pending)} pending. Apply them: python3 server.py migrate")
    return 1 if state.problem or state.pending else 0
