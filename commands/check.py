"""Check every SQL file: its header, its statement against the live schema (by PREPARE), its plan, its time.

And the texts of mails: their form and their placeholders.
"""

import contextlib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from typing import Any

from commands import check_plans, check_times, optimize, seed
from core.cli import say, tell
from core.config import Config
from core.database_url import DatabaseUrl
from core.db import migrations
from core.db.database import Session
from core.db.drivers import connect
from core.db.migrations import State
from core.db.owner import owner_url
from core.db.session import problem_of
from core.db.statement import Statement
from core.db.statements import Statements, missing
from core.mails import Mails
from core.setup.system import ROOT, pages

HELP = "check every SQL file against the schema; names file and line of what is wrong"
STATEMENT_TIMEOUT = 60  # seconds for one statement: samples and counts of a large catalogue take long


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--plans",
        action="store_true",
        help="EXPLAIN every statement too, on a large catalogue: no full scan, filesort or temporary table that its "
        "header does not allow",
    )
    parser.add_argument(
        "--times", action="store_true", help="run every statement that only reads with its samples, and print the times"
    )


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Print what is wrong, a line each; exit status 1 if anything is, 2 if there are too few rows for plans."""
    statements = Statements(ROOT / "sql", tables=migrations.tables(migrations.files()))
    problems: list[Exception] = [*statements.problems, *missing(ROOT / "sql", pages(ROOT)), *Mails().problems]
    with owner_url(config) as url:
        state = migrations.Migrator(url, tell).state()
        with contextlib.closing(connect(url, 10, STATEMENT_TIMEOUT)) as connection, connection.cursor() as cursor:
            refused = {statement.name: problem_of(cursor, statement) for statement in statements}
            problems += filter(None, refused.values())
            _say_result(problems, state, statements, url)
            status = 1 if problems else 0
            if not problems and not state.pending:
                sentence = optimize.left_out(Session(cursor, statements))
                if sentence:
                    say(sentence)
                    status = 1
            sound = [statement for statement in statements if not refused[statement.name]]
            if options.plans:
                status = max(status, plans_status(cursor, statements, sound))
            if options.times:
                check_times.report(cursor, sound)
    return status


def _say_result(problems: list[Exception], state: State, statements: Statements, url: DatabaseUrl) -> None:
    for problem in problems:
        say(str(problem))
    if state.problem or state.pending:
        say(state.problem or f"{len(state.pending)} migration(s) are pending. Apply them: python3 server.py migrate")
    checked = len(list(statements)) + len(statements.problems)
    say(f"{checked} statements checked against {url.place}: {_verdict(problems)}")


def _verdict(problems: Sequence[Exception]) -> str:
    return f"{len(problems)} wrong." if problems else "all right."


def plans_status(cursor: Any, statements: Statements, sound: list[Statement]) -> int:
    """Print what is wrong with the plans of the `sound` statements, a line each; return the exit status (0, 1, 2)."""
    counts = seed.counts(Session(cursor, statements))
    there = f"{counts['products']} products and {counts['orders']} orders"
    if min(counts["products"], counts["orders"]) < check_plans.FEWEST:
        say(
            f"There are {there}; below {check_plans.FEWEST} of each, plans say nothing about a large shop. Check them "
            "in a database that may be filled: python3 server.py seed --products 20000 --orders 20000 (or 1000000)"
        )
        return 2
    info = cursor.connection.get_server_info()  # 9.7.4, or 5.5.5-10.11.19-MariaDB-…
    server = "MariaDB" if "MariaDB" in info else "MySQL"
    version = info.removeprefix("5.5.5-").partition("-")[0]
    report = check_plans.look(cursor, sound, server)
    for problem in report.problems:
        say(str(problem))
    if report.unseen:
        files = ", ".join(report.unseen)
        say(f"Some plans are unknown, because a table is empty or a sample names a row that does not exist: {files}")
    else:  # on empty tables no plan needs what its header allows
        for hint in report.hints:
            say(hint)
    say(f"{report.plans} plans of {server} {version} checked, with {there}: {_verdict(report.problems)}")
    return 1 if report.problems else 0
