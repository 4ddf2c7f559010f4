"""Check every SQL file: its header, and its statement against the live schema (the server PREPAREs it)."""

from commands.embedded import owner_url
from core.database import connect, prepare
from core.migrations import Migrator
from core.statements import Problem, Statements, missing
from core.system import ROOT, say

HELP = "check every SQL file against the schema; names file and line of what is wrong"


def arguments(parser):
    """Declare the options: none."""


def run(options, config, shop):
    """Print what is wrong, a line each; exit status 1 if anything is."""
    statements = Statements(ROOT / "sql")
    problems = statements.problems + missing(ROOT / "sql", ROOT.glob("[rc]*/*.py"))
    with owner_url(config) as url:
        state = Migrator(url, say).state()
        connection = connect(url, 10)
        try:
            with connection.cursor() as cursor:
                problems += filter(None, (problem_of(cursor, statement) for statement in statements))
        finally:
            connection.close()
    for problem in problems:
        say(str(problem))
    if state.problem or state.pending:
        say(state.problem or f"{len(state.pending)} migration(s) are pending. Apply them: python3 server.py migrate")
    checked = len(list(statements)) + len(statements.problems)
    say(
        f"{checked} statements checked against {url.place}: "
        + (f"{len(problems)} wrong." if problems else "all right.")
    )
    return 1 if problems else 0


def problem_of(cursor, statement):
    """Return what the server says against a statement, or None."""
    try:
        prepare(cursor, statement)
    except Problem as problem:
        return problem
    return None
