"""List the statements of sql/, or run one with its values: as a table, JSON or CSV, its plan, or its text.

    sql                                         all of them; `sql products/` and `sql cart/ad`: those that begin so
    sql products/list_price category_id=3 limit=5
                                                run one; what is not given is as in the first sample of its header
    sql orders/get number=K7Q2M-4XH9P --print   its text with the values in it, for any client

A value is written as in a sample, and a text needs no quotes: a number, a text, NULL, a list 3,4, a query "(SELECT …)".
Nothing is changed without --write: what only reads runs in a read-only transaction, everything else is rolled back.
"""

import argparse
import contextlib
import re
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from typing import Any

from commands import sql_analyze, sql_print, sql_table, sql_values
from commands.check_plans import explain
from core.cli import CommandError, say, say_table, tell
from core.config import ROOT, Config
from core.database_url import DatabaseUrl
from core.db.database import DatabaseError
from core.db.drivers import connect_to_check, number
from core.db.migrator import Migrator
from core.db.mysql_errors import LOST, REFUSED
from core.db.owner import owner_url
from core.db.session import problem_of
from core.db.statement import Problem, Statement
from core.db.statements import Statements

HELP = "list the statements of sql/, or run one: its rows, its plan, or its text with the values in it"
FOLDER = "sql"
STATEMENT_TIMEOUT = 60  # seconds
BY_ITSELF = "TRUNCATE"  # commits what it does, so that it cannot be tried
SENTENCE = re.compile(r"(?<=\.) ")  # between two of them
NEVER_BACK = "It cannot be rolled back: with --write it is run."


def arguments(parser: ArgumentParser) -> None:
    """Declare the words and the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("words", nargs="*", metavar="NAME or name=value", help="a statement, and values for it")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--explain", action="store_true", help="show the plan (EXPLAIN), and run nothing")
    way.add_argument("--analyze", action="store_true", help="run it, and show rows, loops and times of each step")
    way.add_argument("--print", action="store_true", help="print the text with the values, and run nothing")
    way.add_argument("--json", action="store_true", help="print the rows as JSON")
    way.add_argument("--csv", action="store_true", help="print the rows as CSV")
    parser.add_argument("--write", action="store_true", help="commit what it changes; every value has to be given")


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """List, or do what the options say with one statement."""
    ways = [way for way in ("explain", "analyze", "print", "json", "csv") if getattr(options, way)]
    way = ways[0] if ways else "rows"
    if options.write and way in ("explain", "analyze", "print"):
        raise CommandError(f"--{way} changes nothing, so --write does not go with it.", code=2)
    statements = Statements(ROOT / FOLDER, tuned=config.sql_overlay)
    name, words = _name(options.words[0]) if options.words else "", options.words[1:]
    if not words and not ways and not options.write and name not in _names(statements):
        return _list(statements, name)
    statement = _named(statements, name)
    typed = sql_values.split(statement, words)
    if options.write and statement.returns in ("one", "many"):
        raise CommandError(f"{statement.path} changes nothing, so there is nothing for --write to commit.", code=2)
    with owner_url(config) as url, contextlib.closing(connect_to_check(url, 10, STATEMENT_TIMEOUT)) as connection:
        server = "MariaDB" if "MariaDB" in connection.get_server_info() else "MySQL"
        with connection.cursor() as cursor, _stopped_with_us(url, connection), _in_words(url, cursor, statement):
            _begin(cursor, statement)
            values = sql_values.values(cursor, statement, typed, options.write)
            tell(sql_values.told(statement, typed, values))
            _tell_outdated(statements, [statement])
            if way == "print":
                say(f"{sql_print.SETTINGS}\n{sql_print.bound(statement, values)}")
            elif way == "explain":
                rows = explain(cursor, statement, values)
                _say_lines(sql_table.table(list(rows[0]), rows, sql_table.UNCUT))
            elif way == "analyze":
                _require_undoable(statement)
                _say_lines(sql_analyze.analyze(cursor, statement, values, server))
            else:
                _run(cursor, statement, values, way, options.write)
    return 0


def _name(word: str) -> str:
    """Return the name in a word; a path does as well."""
    return word.removeprefix("./").removeprefix(f"{FOLDER}/").removesuffix(".sql")


def _names(statements: Statements) -> set[str]:
    """Return the names of all files, also of those that are wrong."""
    return {
        path.relative_to(statements.folder).with_suffix("").as_posix() for path in statements.folder.glob("*/*.sql")
    }


def _named(statements: Statements, name: str) -> Statement:
    """Return a statement; raise the Problem of its file, or CommandError where there is none of this name."""
    for problem in statements.problems:
        if f"/{name}.sql:" in str(problem):
            raise problem
    try:
        return statements[name]
    except KeyError:  # as with `sql products/lst` and with `sql --json`
        alike = [known for known in sorted(_names(statements)) if name and known.rpartition("/")[2] == name]
        hint = f"; did you mean {' or '.join(alike)}?" if alike else sql_values.close_to(name, _names(statements))
        what = f"There is no statement {name!r}{hint}" if name else "Name a statement, as products/get."
        raise CommandError(f"{what} python3 server.py sql lists them all.", code=2) from None


def _list(statements: Statements, begins: str) -> int:
    """Print the statements whose names begin so; exit status 1 where one of them is wrong."""
    found = [statement for statement in statements if statement.name.startswith(begins)]
    problems = [problem for problem in statements.problems if f"/{begins}" in str(problem)]
    if not found and not problems:
        _named(statements, begins)
    rows = [("name", "returns", "what it does")]
    room = sql_table.terminal() - max((len(s.name) for s in found), default=0) - 11
    for statement in found:
        tuned = "" if statement.path == f"{FOLDER}/{statement.name}.sql" else f"({statement.path}) "
        rows.append(
            (
                statement.name,
                statement.returns,
                sql_table.cut(tuned + SENTENCE.split(statement.header.title)[0], max(room, 20)),
            )
        )
    say_table(rows)
    for problem in problems:
        tell(str(problem))
    _tell_outdated(statements, found)
    return 1 if problems else 0


def _tell_outdated(statements: Statements, shown: list[Statement]) -> None:
    """Say which of these are tuned versions (SQL_OVERLAY) that were made for an older file."""
    for sentence in statements.outdated():
        if any(f" {statement.path} " in sentence for statement in shown):
            tell(sentence)


def _begin(cursor: Any, statement: Statement) -> None:
    """Begin the transaction: one in which the server refuses every change, for what only reads and locks nothing."""
    cursor.execute("START TRANSACTION READ ONLY" if statement.reads_only else "START TRANSACTION")


def _require_undoable(statement: Statement) -> None:
    if statement.body.upper().startswith(BY_ITSELF):
        raise CommandError(f"{statement.path} is a {BY_ITSELF}, which commits by itself. {NEVER_BACK}")


def _run(cursor: Any, statement: Statement, values: dict[str, Any], way: str, write: bool) -> None:
    """Run the statement, print what it gives, and commit or roll back what it has changed."""
    if not write:
        _require_undoable(statement)
    began = time.perf_counter()
    cursor.execute(statement.text, values)
    reads = statement.returns in ("one", "many")
    rows = list(cursor.fetchall()) if reads else [{statement.returns: _effect(cursor, statement)}]
    seconds = time.perf_counter() - began
    names = [column[0] for column in cursor.description] if reads else [statement.returns]
    touched = cursor.rowcount
    cursor.execute("SHOW WARNINGS")
    for warning in cursor.fetchall():
        tell(f"{warning['Level']} {warning['Code']}: {warning['Message']}")
    if not reads:
        _commit(cursor) if write else cursor.execute("ROLLBACK")
    if problem := problem_of(cursor.connection, statement):
        tell(str(problem))  # an edit whose header is not true yet
    if way == "csv":
        print(sql_table.as_csv(names, rows), end="")
    elif way == "json":
        say(sql_table.as_json(rows[0] if rows else None) if statement.returns != "many" else _json_lines(rows))
    elif reads:
        one = statement.returns == "one" and len(rows) == 1
        _say_lines(sql_table.record(rows[0]) if one else sql_table.table(names, rows))
    ms = f"{seconds * 1000:.1f} ms"
    if reads:
        tell(f"{_rows(len(rows))} in {ms}.")
        return
    tables = ", ".join(sorted(statement.changes))
    new = f", the id is {rows[0]['id']}" if statement.returns == "id" else ""
    done = "Committed." if write else "Rolled back: nothing is changed. --write commits."
    tell(f"{_rows(touched)} of {tables} touched{new}, in {ms}. {done}")


def _effect(cursor: Any, statement: Statement) -> int:
    return cursor.rowcount if statement.returns == "count" else cursor.lastrowid


def _json_lines(rows: list[dict[str, Any]]) -> str:
    return "[" + ",\n ".join(map(sql_table.as_json, rows)) + "]"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _say_lines(lines: list[str]) -> None:
    for line in lines:
        say(line)


def _commit(cursor: Any) -> None:
    try:
        cursor.execute("COMMIT")
    except DatabaseError as error:
        what = "The database did not confirm the change. Look whether it is there, before you try again."
        raise CommandError(f"{what} (It said: {error.args[-1]})") from error


@contextlib.contextmanager
def _in_words(url: DatabaseUrl, cursor: Any, statement: Statement) -> Iterator[None]:
    """Turn what is wrong with a statement or its values into a sentence; roll back."""
    try:
        yield
    except DatabaseError as error:
        if number(error) in LOST | REFUSED:
            raise
        cursor.execute("ROLLBACK")
        message = " ".join(str(error.args[-1]).split())
        refused = f"{statement.path}: the database refuses it: {message} (error {number(error)})"
        said = str(problem_of(cursor.connection, statement) or refused).rstrip(".")
        raise CommandError(f"{said}. Nothing is changed.{_pending(url)}") from error
    except Problem as problem:
        raise CommandError(f"{problem}.{_pending(url)}") from problem


def _pending(url: DatabaseUrl) -> str:
    """Return a sentence if migrations are pending, which explains what is missing; else nothing."""
    pending = len(Migrator(url, tell).state().pending)
    return f" {pending} migration(s) are pending. Apply them: python3 server.py migrate" if pending else ""


@contextlib.contextmanager
def _stopped_with_us(url: DatabaseUrl, connection: Any) -> Iterator[None]:
    """Stop the statement at Ctrl-C: a server goes on with one whose client is gone."""
    try:
        yield
    except KeyboardInterrupt:
        with contextlib.closing(connect_to_check(url, 10)) as other, other.cursor() as cursor:
            cursor.execute(f"KILL {int(connection.thread_id())}")
        raise
