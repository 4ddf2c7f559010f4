"""Bring the schema up to date, take a step back, or show where it stands."""

import sys

from core.cli import CommandError, say
from core.db.migrations import Migrator
from core.db.owner import owner_url

HELP = "apply migrations (up, the default), take the newest back (down), or show them (status)"


def arguments(parser):
    """Declare the options."""
    parser.add_argument("way", nargs="?", choices=("up", "down", "status"), default="up", help="default: up")
    parser.add_argument("--yes", action="store_true", help="take back without asking")


def run(options, config, shop):
    """Do it, and say what was done."""
    with owner_url(config) as url:
        migrator = Migrator(url, say)
        if options.way == "status":
            return status(migrator.state())
        if options.way == "down":
            return down(migrator, options.yes)
        done = migrator.up()
        say(f"{len(done)} migration(s) applied." if done else "Nothing to do: the schema is current.")
    return 0


def down(migrator, sure):
    """Take the newest migration back, after asking: its tables and columns are lost with what they hold."""
    state = migrator.state()
    newest = [migration.name for migration in state.migrations if migration.version in state.rows][-1:]
    if newest and not sure:
        question = f"Taking back {newest[0]} removes what it made, with the data in it. Go on?"
        if not sys.stdin.isatty():
            raise CommandError(
                f"{question} Nobody is here to answer; if you mean it: python3 server.py migrate down --yes"
            )
        if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was changed.")
    name = migrator.down()
    say(f"{name} is taken back." if name else "Nothing to do: no migration is applied.")
    return 0


def status(state):
    """Print a table of all migrations; exit status 1 where something is pending or wrong."""
    rows = [("migration", "state", "applied at (UTC)")]
    for migration in state.migrations:
        when = state.rows.get(migration.version, {}).get("finished_at")
        rows.append((migration.name, state.word(migration), str(when or "")))
    rows += [(row["name"], "unknown here", str(row["finished_at"] or "")) for row in state.unknown]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if state.problem:
        say("\n" + state.problem)
    elif state.pending:
        say(f"\n{len(state.pending)} pending. Apply them: python3 server.py migrate")
    return 1 if state.problem or state.pending else 0
