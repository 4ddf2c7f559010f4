"""Check every SQL file: its header, its statement and columns against the live schema (by PREPARE), its plan, its time.

And what an edit changes, beside the released version; whether the files that are written from templates are as the
templates have them; the texts of mails: their form and their placeholders; whether the nodes of a cluster store what
they acknowledge. Or whether shops of another release can run beside those of this one.
"""

import contextlib
import difflib
import pathlib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from typing import Any

from commands import (
    check_against,
    check_bounds,
    check_callers,
    check_columns,
    check_compare,
    check_data,
    check_plans,
    check_recorded,
    check_schema,
    check_server,
    check_templates,
    check_times,
    optimize,
    seed,
)
from core.app import app
from core.cli import CommandError, say, tell
from core.config import Config
from core.database_url import DatabaseUrl
from core.db import migrations, rights
from core.db.database import Session
from core.db.drivers import connect_to_check
from core.db.migrations import State
from core.db.migrator import Migrator
from core.db.owner import owner_url
from core.db.session import problem_of
from core.db.statement import Statement
from core.db.statements import Statements, missing
from core.mails import Mails
from core.setup.system import ROOT, pages

HELP = "check every SQL file against the schema; names file and line of what is wrong"
STATEMENT_TIMEOUT = 60  # seconds for one statement: samples and counts of a large catalogue take long

ALONE_USELESS = {"accept": "plans", "slower": "accept", "also": "accept"}  # an option, and the one it belongs to


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--plans",
        action="store_true",
        help="EXPLAIN every statement too, on a large catalogue: no full scan, filesort or temporary table that its "
        "header does not allow, and what it promises by index, reads and rows is so",
    )
    parser.add_argument(
        "--accept", action="store_true", help="with --plans: measure plans that are new, and record them there"
    )
    parser.add_argument("--slower", action="store_true", help="with --accept: also those that are slower than before")
    parser.add_argument("--also", action="store_true", help="with --accept: beside what is recorded, not in its place")
    parser.add_argument(
        "--write-columns", action="store_true", help="write the '-- columns:' of each file as this server sees them"
    )
    parser.add_argument(
        "--write-templates", action="store_true", help="write the files that belong together anew, from their templates"
    )
    parser.add_argument(
        "--data", action="store_true", help="run the invariants of checks/, and say each violation in the data"
    )
    parser.add_argument(
        "--times", action="store_true", help="run every statement that only reads with its samples, and print the times"
    )
    parser.add_argument(
        "--compare",
        nargs="?",
        const=check_compare.RELEASED,
        metavar="REV|DIR",
        help="run each file that was edited since this revision (default: HEAD), or that differs from the one in this "
        "folder, beside what it was; what changes rows is rolled back. With --plans: name each plan that is not as in "
        "sql/plans.json",
    )
    parser.add_argument(
        "--against",
        metavar="REV|DIR",
        help="say which statements of the release in this revision or folder break once the schema is that of these "
        "files, and which of these would on its schema: whether old and new shops run side by side. Alone; asks no "
        "database that runs",
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="only these, such as products/list_price")


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Print what is wrong, a line each; exit status 1 if anything is, 2 if there are too few rows to tell."""
    for name, other in ALONE_USELESS.items():
        if getattr(options, name) and not getattr(options, other):
            raise CommandError(f"--{name} goes with --{other}: python3 server.py check --plans --accept", code=2)
    if options.against:
        if any(value for name, value in vars(options).items() if name not in ("command", "against")):
            raise CommandError("--against looks at all files, and stands alone: check --against REV", code=2)
        return check_against.report(ROOT, options.against, config.sql_overlay)
    templates = check_templates.Templates(ROOT / "sql")
    if options.write_templates:
        templates.write(say)
    more = [ROOT / "reports", ROOT / "checks"]
    tables = migrations.tables(migrations.files())
    statements = Statements(ROOT / "sql", tables=tables, tuned=config.sql_overlay, more=more)
    only = _only(options)
    problems: list[Exception] = [
        *statements.problems,
        *missing(ROOT / "sql", pages(ROOT)),
        *check_callers.unknown(statements, app),
        *templates.stale(),
        *rights.uncertain(statements, migrations.relations(migrations.files())),
        *Mails().problems,
    ]
    if only:
        problems = [problem for problem in problems if _path(str(problem).partition(":")[0]) in only]
    with owner_url(config) as url:
        state = Migrator(url, tell).state()
        with (
            contextlib.closing(connect_to_check(url, 10, STATEMENT_TIMEOUT)) as connection,
            connection.cursor() as cursor,
        ):
            if options.write_columns:
                own = [one for one in statements if f"{one.name}.sql" not in templates.files]
                check_columns.write(connection, own, statements.folder)
                statements = Statements(ROOT / "sql", tables=tables, tuned=config.sql_overlay, more=more)
            chosen = [statement for statement in statements if not only or _path(statement.path) in only]
            refused = {statement.name: problem_of(connection, statement) for statement in chosen}
            problems += filter(None, refused.values())
            _say_result(problems, state, len(only) or len(chosen) + len(statements.problems), url)
            status = 1 if problems else 0
            for older in statements.outdated(chosen):
                say(older)
                status = 1
            for risk, why in [] if only else check_server.risks(url):
                say(why)
                status = worse(status, risk)
            if not problems and not state.pending and not only:
                sentence = optimize.left_out(Session(cursor, statements))
                if sentence:
                    say(sentence)
                    status = 1
            sound = [statement for statement in chosen if not refused[statement.name]]
            own = [statement for statement in sound if statement not in _of(sound, "reports", "checks")]
            if options.compare and not options.plans and not state.pending:
                with check_compare.released(ROOT, options.compare, statements.tables) as old:
                    status = worse(status, check_compare.report(connection, old, own, options.compare))
                if problems:
                    say("What is wrong was not compared.")
            if options.plans:
                status = worse(status, plans_status(cursor, statements, own, options))
            if options.times:
                check_times.report(cursor, sound)
            if options.data:
                status = worse(status, check_data.report(url, _of(sound, "checks")))
    return status


def worse(one: int, other: int) -> int:
    """Return the worse of two exit statuses: 1 (something is wrong), 2 (not all could be looked at), 0."""
    return max(one, other, key=(0, 2, 1).index)


def _of(statements: list[Statement], *folders: str) -> list[Statement]:
    return [statement for statement in statements if statement.name.partition("/")[0] in folders]


def _only(options: Namespace) -> set[str]:
    """Return the paths of the files that were named: products/list_price, or as a path. Raises CommandError.

    One that stands behind --compare is a file, and no revision.
    """
    known = {path.relative_to(ROOT).as_posix() for path in (ROOT / "sql").glob("*/*.sql")}
    given = {text: _path(text) for text in options.files}
    if options.compare and not pathlib.Path(options.compare).is_dir() and _path(options.compare) in known:
        given[options.compare], options.compare = _path(options.compare), check_compare.RELEASED
    for text, path in given.items():
        if path not in known:
            close = difflib.get_close_matches(path, known, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise CommandError(f"There is no file {text!r} in sql/.{hint}", code=2)
    return set(given.values())


def _path(text: str) -> str:
    return pathlib.Path("sql", *pathlib.Path(text).with_suffix(".sql").parts[-2:]).as_posix()


def _say_result(problems: list[Exception], state: State, checked: int, url: DatabaseUrl) -> None:
    for problem in problems:
        say(str(problem))
    if state.problem or state.pending:
        say(state.problem or f"{len(state.pending)} migration(s) are pending. Apply them: python3 server.py migrate")
    say(f"{checked} statements checked against {url.place}: {_verdict(problems)}")


def _verdict(problems: Sequence[object]) -> str:
    return f"{len(problems)} wrong." if problems else "all right."


def plans_status(cursor: Any, statements: Statements, sound: list[Statement], options: Namespace) -> int:
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
    schema = check_schema.Schema(cursor, server)
    problems = [str(problem) for problem in (*report.problems, *check_bounds.broken(cursor, report, schema))]
    status = 0
    if options.compare or options.accept:
        recorded = check_recorded.Recorded(ROOT / "sql" / "plans.json", check_recorded.kind_of(info))
    if options.accept:
        at = {"products": counts["products"], "orders": counts["orders"]}
        lines, written = check_recorded.accept(
            cursor, recorded, report, statements, at, slower=options.slower, also=options.also
        )
        for line in lines:
            say(line)
        status = 0 if written else 1
    if options.compare and recorded.at is None:
        say(f"sql/plans.json has no plans of {recorded.kind}; it has those of {', '.join(recorded.servers) or 'none'}.")
        status = 2
    elif options.compare:
        problems += check_recorded.compare(schema, recorded, report, statements)
    for problem in problems:
        say(problem)
    if report.unseen:
        files = ", ".join(sorted(report.unseen))
        say(
            f"Some plans say nothing here, because a table has fewer than {check_schema.FEW} rows, or samples name "
            f"rows that do not exist: {files}"
        )
    else:  # on empty tables no plan needs what its header allows
        for hint in report.hints:
            say(hint)
    say(f"{len(report.plans)} plans of {server} {version} checked, with {there}: {_verdict(problems)}")
    return 1 if problems else status
