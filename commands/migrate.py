"""Bring the schema up to date, or to another version; say before what that would do, or where the schema stands."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from commands.migrate_baseline import baseline
from commands.migrate_plan import refuse, show
from commands.migrate_planner import held, planner
from commands.migrate_rows import LARGE, Rows
from core.cli import CommandError, confirm, say, say_table, tell
from core.config import Config
from core.db.migrations import Move, State
from core.db.migrator import Migrator
from core.db.owner import owner_url

HELP = (
    "apply migrations (up, the default), take the newest back (down), or show what would be done (plan) or is (status)"
)
WAYS = (
    "up: apply what is pending (the default). down: take the newest back. status: list all. plan: show the SQL of up, "
    "and for each statement whom the server makes wait. baseline: record migrations (up to N) as applied, in "
    "a database that has the very schema that they make"
)


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("way", nargs="?", choices=("up", "down", "status", "plan", "baseline"), default="up", help=WAYS)
    parser.add_argument("version", nargs="?", type=int, metavar="N", help="baseline: the last that the database has")
    parser.add_argument("--to", type=int, metavar="N", help="up and plan: the version to go to; 0 is before the first")
    parser.add_argument("--yes", action="store_true", help="take back without asking")
    parser.add_argument("--blocking", action="store_true", help="let writers of large tables wait")


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Do what the options say, and say what was done."""
    if options.version is not None and options.way != "baseline":
        raise CommandError(f"A version stands behind baseline only. Did you mean --to {options.version}?", code=2)
    if options.to is not None and options.way not in ("up", "plan"):
        raise CommandError(f"--to says where up and plan lead; {options.way} has no such option.", code=2)
    with owner_url(config) as url:
        migrator = Migrator(url, say)
        if options.way == "status":
            return status(migrator.state())
        if options.way == "plan":
            return plan(migrator, options.to)
        if options.way == "baseline":
            return record(migrator, options.version)
        return go(migrator, options.way, options.to, options.yes, options.blocking)


def go(migrator: Migrator, way: str, to: int | None, sure: bool, blocking: bool) -> int:
    """Apply migrations or take them back; refuse what makes writers of large tables wait, unless `blocking`.

    What takes back is asked about first, unless `sure`: tables and columns go with their data.
    """
    moves = migrator.state().moves(way, to)
    downs = [move.migration.name for move in moves if move.way == "down"]
    if downs and not sure:
        typed = f"migrate --to {to} --yes" if to is not None else "migrate down --yes"
        confirm(f"Taking back {', '.join(downs)} removes what it made, with the data in it. Go on?", typed)
    texts = None if blocking else harmless(migrator, moves)
    for move in (done := migrator.go(way, to, texts)):
        if move.way == "down":
            say(f"{move.migration.name} is taken back.")
    if applied := [move for move in done if move.way == "up"]:
        say(f"{len(applied)} migration(s) applied.")
    elif not done:
        say("Nothing to do: no migration is applied." if way == "down" else "Nothing to do: the schema is current.")
    return 0


def harmless(migrator: Migrator, moves: list[Move]) -> dict[Move, str]:
    """Return what to run, held to what the server grants on a copy, where a table is large; refuse what would block."""
    if not moves:
        return {}
    with migrator.locked() as cursor:
        rows = Rows(cursor)
        if rows.most(rows.about)[0] <= LARGE:
            return {}
        tell("Trying what is to be done on empty copies of the tables.")
        with planner(migrator.url) as made:
            steps = made.steps(moves)
    refuse(steps, migrator.url, made)
    return held(steps)


def plan(migrator: Migrator, to: int | None) -> int:
    """Show what `up` would do; exit status 1 where it would be refused, or fail."""
    moves = migrator.state().moves(to=to)
    if not moves:
        say("Nothing to do: the schema is current.")
        return 0
    with migrator.locked(), planner(migrator.url) as made:
        steps = made.steps(moves)
    return show(steps, migrator.url, made)


def record(migrator: Migrator, version: int | None) -> int:
    """Record migrations as applied that were not run here; exit status 1 where the schema is not what they make."""
    names, differences = baseline(migrator, version)
    if differences:
        say("The database is not what these migrations make. Nothing was recorded. - they make it, + it is there:\n")
        for line in differences:
            say(line)
        return 1
    say(
        f"{len(names)} migration(s) recorded as applied: the database has what they make."
        if names
        else "Nothing to do: all of these are recorded."
    )
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
