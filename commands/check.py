"""Check every SQL file: its header, its statement against the live schema (the server PREPAREs it), plan and time."""

import re

from commands import check_plans, check_times, optimize
from core.cli import say, tell
from core.db import migrations
from core.db.database import Session
from core.db.drivers import connect
from core.db.owner import owner_url
from core.db.session import problem_of
from core.db.statements import Statements, missing
from core.setup.system import ROOT, pages

HELP = "check every SQL file against the schema; names file and line of what is wrong"
STATEMENT_TIMEOUT = 60  # seconds for one statement: the samples' own and the counts of a large catalogue


def arguments(parser):
    """Declare the options."""
    parser.add_argument(
        "--plans",
        action="store_true",
        help="EXPLAIN every statement too, on a catalogue of size: no full scan, filesort or temporary table that its "
        "header does not allow",
    )
    parser.add_argument(
        "--times", action="store_true", help="run every statement that only reads with its samples, and print the times"
    )


def run(options, config, shop):
    """Print what is wrong, a line each; exit status 1 if anything is, 2 if plans cannot be looked at here."""
    statements = Statements(ROOT / "sql", tables=migrations.tables(migrations.files()))
    problems = statements.problems + missing(ROOT / "sql", pages(ROOT))
    with owner_url(config) as url:
        state = migrations.Migrator(url, tell).state()
        connection = connect(url, 10, STATEMENT_TIMEOUT)
        try:
            with connection.cursor() as cursor:
                refused = {statement.name: problem_of(cursor, statement) for statement in statements}
                problems += filter(None, refused.values())
                _tell(problems, state, statements, url)
                wrong = 1 if problems else 0
                if not problems and not state.pending and (told := optimize.left_out(Session(cursor, statements))):
                    say(told)
                    wrong = 1
                sound = [statement for statement in statements if not refused[statement.name]]
                if options.plans:
                    wrong = max(wrong, plans_status(cursor, statements, sound))
                if options.times:
                    check_times.report(cursor, sound)
                return wrong
        finally:
            connection.close()


def _tell(problems, state, statements, url):
    for problem in problems:
        say(str(problem))
    if state.problem or state.pending:
        say(state.problem or f"{len(state.pending)} migration(s) are pending. Apply them: python3 server.py migrate")
    checked = len(list(statements)) + len(statements.problems)
    say(
        f"{checked} statements checked against {url.place}: "
        + (f"{len(problems)} wrong." if problems else "all right.")
    )


def plans_status(cursor, statements, sound):
    """Print what speaks against the plans of the `sound` ones, a line each; return the exit status."""
    products = Session(cursor, statements).one("seed/counts")["products"]
    if products < check_plans.FEWEST:
        say(
            f"There are {products} products, and plans say nothing about a shop of size below {check_plans.FEWEST}. "
            "Look at them in a database that may be filled: python3 server.py seed --products 20000 (or 1000000)"
        )
        return 2
    info = cursor.connection.get_server_info()  # 9.7.4, or 5.5.5-10.11.19-MariaDB-…
    server = "MariaDB" if "MariaDB" in info else "MySQL"
    version = re.match(r"(?:5\.5\.5-)?([0-9.]*)", info)[1]
    report = check_plans.look(cursor, sound, server)
    for problem in report.problems:
        say(str(problem))
    for hint in [] if report.unseen else report.hints:  # a plan of empty tables needs nothing
        say(hint)
    if report.unseen:
        files = ", ".join(report.unseen)
        say(f"Not all plans were to be seen, because a table is empty or a sample names what is not there: {files}")
    say(
        f"{report.plans} plans of {server} {version} looked at, with {products} products: "
        + (f"{len(report.problems)} wrong." if report.problems else "all right.")
    )
    return 1 if report.problems else 0
