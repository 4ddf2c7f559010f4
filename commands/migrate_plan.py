"""What `migrate plan` prints, and what `migrate` says where it refuses to make the writers of a large table wait."""

import itertools
import shlex
import textwrap
from collections.abc import Iterator

from commands.migrate_planner import Planner, Step
from commands.migrate_rows import LARGE
from commands.migrate_text import change_of, kind, one_line
from core.cli import CommandError, say
from core.database_url import DatabaseUrl
from core.db.drivers import present


def show(steps: list[Step], url: DatabaseUrl, planner: Planner) -> int:
    """Print the statements, and what each does; return 1 where `migrate` would refuse them, else 0."""
    for move, of_move in itertools.groupby(steps, lambda step: step.move):
        say(f"{move.file}\n")
        for step in of_move:
            say(textwrap.indent(step.text + ";", "    ") + f"\n    -- {facts(step)}\n")
    if planner.denied:
        say(planner.denied + "\n")
    if problem := _problem(steps, url, planner):
        say(problem)
    return 1 if problem else 0


def refuse(steps: list[Step], url: DatabaseUrl, planner: Planner) -> None:
    """Raise CommandError where a step would fail, or make writers of a large table wait."""
    if problem := _problem(steps, url, planner):
        raise CommandError("\n\n".join(filter(None, ["Nothing was changed.", planner.denied, problem])))


def facts(step: Step) -> str:
    """Return in a line what a step does to others."""
    if step.error:
        return f"this fails: {step.error}"
    how = f"{step.algorithm}, LOCK={step.lock}; " if step.lock else f"{step.algorithm}; " if step.algorithm else ""
    rows = f"{step.rows:,} rows" if step.counted else f"about {step.rows:,} rows (an estimate)"
    if step.table:
        return f"{how}{step.who}; {step.table} has {rows}"
    return f"{step.who}; it concerns {rows}" if step.stops else step.who


def _problem(steps: list[Step], url: DatabaseUrl, planner: Planner) -> str:
    """Return why `migrate` refuses these steps and what to type instead, or ""."""
    if failing := next((step for step in steps if step.error), None):
        return f"{failing.move.file} fails on an empty copy of the tables: {one_line(failing.text)}\n{failing.error}"
    blocking = [step for step in steps if step.blocks]
    if not blocking:
        return ""
    said = [f"{step.move.file}: {one_line(step.text)}\n  {facts(step)}" for step in blocking]
    return "\n".join(
        [
            f"These statements make writers of a table with more than {LARGE:,} rows wait:\n",
            *said,
            "\nTo let them wait: python3 server.py migrate --blocking",
            "Or, one after another, commands in a shell and statements in a client of the database:\n",
            *_instead(steps, url, planner),
        ]
    )


def _instead(steps: list[Step], url: DatabaseUrl, planner: Planner) -> Iterator[str]:
    """Yield the lines that lead past the first move that blocks."""
    move = next(step.move for step in steps if step.blocks)
    before = dict.fromkeys(step.move for step in itertools.takewhile(lambda step: step.move != move, steps))
    yield from ("python3 server.py migrate down" for done in before if done.way == "down")
    for last in [done.migration.version for done in before if done.way == "up"][-1:]:
        yield f"python3 server.py migrate --to {last}"
    for step in (step for step in steps if step.move == move):
        change = change_of(one_line(step.text)) if step.blocks else None
        if change:
            yield online(*change, url, gh_ost=not (step.tied or planner.is_mariadb or url.unix_socket))
        else:
            by_and_by = step.blocks and kind(step.text) == "rows"
            yield ("-- in parts, some thousand rows at a time:\n" if by_and_by else "") + f"{step.text};"
    yield move.record


def online(table: str, change: str, url: DatabaseUrl, gh_ost: bool) -> str:
    """Return the command that changes a table while others write to it; it asks for the password.

    gh-ost can do nothing with foreign keys, and makes a FULLTEXT index with the server's stop words; it is for MySQL.
    """
    url = present(url)
    if gh_ost:
        where = ["--host", url.host, "--port", str(url.port), "--user", url.user]
        what = ["--database", url.database, "--table", table, "--alter", change]
        return shlex.join(["gh-ost", *where, "--ask-pass", *what, "--allow-on-master", "--execute"])
    server = {"S": url.unix_socket} if url.unix_socket else {"h": url.host, "P": str(url.port)}
    dsn = {**server, "u": url.user, "D": url.database, "t": table, "A": "utf8mb4"}
    place = ",".join(f"{key}={value}".replace(",", "\\,") for key, value in dsn.items() if value)
    options = ["--alter-foreign-keys-method", "auto", "--set-vars", "innodb_ft_enable_stopword=OFF", "--ask-pass"]
    return shlex.join(["pt-online-schema-change", "--alter", change, *options, "--execute", place])
