"""`db`, what handlers and commands run statements with; and the proof of a statement by the server's PREPARE."""

import functools
import re
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, NamedTuple

from core import logs
from core.cache import Cache
from core.db.columns import Column, written
from core.db.drivers import DatabaseError, number
from core.db.measuring import COMMIT, Measured, Meter
from core.db.mysql_errors import LOST, REFUSED, RETRYABLE, TOO_LONG, TOO_MANY
from core.db.statement import Problem, Statement
from core.db.statements import Check, Statements
from core.metrics import Counter

BEGIN = "BEGIN; "  # sent with the first statement: where the server refuses it, it does not run what stands behind it
Row = dict[str, Any]  # of a result, by the names of its columns


class Session:
    """What handlers know as `db`: runs statements of sql/ by name, in the request's one transaction.

    The transaction begins with the first statement that changes or locks something. What is only read before that
    needs none: at READ COMMITTED each statement sees what is committed when it begins, within a transaction too.

    Parameters are given by name and must be exactly the ones that the file declares. Rows belong to the caller, who
    may change them: those from the cache are copies.
    """

    def __init__(
        self,
        cursor: Any,
        statements: Statements,
        cache: Cache | None = None,
        again: bool = False,
        *,
        check: Check | None = None,  # of statements that are edited
        meter: Meter | None = None,
    ) -> None:
        self._cursor = cursor
        self._statements = statements
        self._check = check
        self._cached = cache.rows if cache else {}  # what the header of a file says of caching → its cache.Memory
        self._meter: Callable[..., None] = meter or _unmeasured
        self._whose = f" {whose}" if (whose := logs.whose()) else ""  # in the comment of each statement
        self.again = again  # whether all of it has run before, and others were in the way
        self.begun = False
        self.committing = False
        self.changed: set[str] = set()  # tables
        self.counted: list[tuple[Counter, tuple[str, ...], int]] = []  # once it is committed

    def one(self, name: str, /, **params: Any) -> Any:
        """Return the first row as a Row, or None."""
        return self._read(name, "one", params)

    def many(self, name: str, /, **params: Any) -> list[Row]:
        """Return all rows, which the caller may change."""
        return self._read(name, "many", params)

    def is_cached(self, name: str, /, **params: Any) -> bool:
        """Whether `one` or `many` would answer from memory."""
        memory, key = self._memory_of(self._statements.get(name, self._check), params)
        return memory is not None and memory.peek(key) is not None

    def run(self, name: str, /, **params: Any) -> int:
        """Change rows; return how many changed. An UPDATE to the same values and a refused upsert count 0."""
        return self._result(self._statement(name, "count", params), params)

    def add(self, name: str, /, **params: Any) -> int:
        """Insert one row and return its id; or what the statement says by LAST_INSERT_ID(…)."""
        return self._result(self._statement(name, "id", params), params)

    def count(self, counter: Counter, /, *labels: str, amount: int = 1) -> None:
        """Count something that this transaction does: after COMMIT, and once, however often it runs."""
        self.counted.append((counter, labels, amount))

    def together(self, *names: str, **params: Any) -> list[Any]:
        """Run statements that are one thought in one round trip; return what each gives, in order.

        For each what `one`, `many`, `run` or `add` would return, by its header; nothing of it comes from the cache.
        Parameters of the same name have the same value. The first statement that fails ends it. What it buys: an add to
        a cart, whose answer is the whole cart, takes 2 round trips instead of 5, and a tenth to a fifth less CPU of
        shop and database (docs/performance.md).
        """
        statements = tuple(self._statements.get(name, self._check) for name in names)
        if params.keys() != _joined(statements).params:
            raise TypeError(f"{', '.join(names)} were called with {sorted(params)}")
        self._send(statements, params)
        results = []
        for place, statement in enumerate(statements):
            if place:
                self._measured(statement, self._cursor.nextset)
            results.append(self._result_of(statement))
        return results

    def commit(self) -> None:
        """Commit what was begun. After an error the change may be stored all the same: `committing` stays True."""
        self.committing = self.begun
        if self.begun:
            self._measured(COMMIT, self._cursor.connection.commit)

    def _statement(self, name: str, returns: str, params: dict[str, Any]) -> Statement:
        statement = self._statements.get(name, self._check)
        if statement.returns != returns or params.keys() != statement.params.keys():
            raise TypeError(
                f"{statement.path} returns {statement.returns} for {sorted(statement.params)}; "
                f"it was called for {returns} with {sorted(params)}"
            )
        return statement

    def _read(self, name: str, returns: str, params: dict[str, Any]) -> Any:
        statement = self._statement(name, returns, params)
        memory, key = self._memory_of(statement, params)
        if memory is None:
            return self._result(statement, params)
        return _copied(memory.fetch(key, lambda: self._result(statement, params))[0])

    def _memory_of(self, statement: Statement, params: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
        """Return the cache.Memory for what this reads (None: there is none), and its key there."""
        memory = None if self.begun else self._cached.get(statement.cached or "")
        return memory, (statement.text, *(params[name] for name in statement.params))

    def _result(self, statement: Statement, params: dict[str, Any]) -> Any:
        self._send((statement,), params)
        return self._result_of(statement)

    def _result_of(self, statement: Statement) -> Any:
        """Return the result that the cursor is at, in the form that the header declares."""
        if statement.returns == "many":
            rows = list(self._cursor.fetchall())
            return rows and _declared(rows, rows[0], statement)
        if statement.returns == "one":
            row = self._cursor.fetchone()
            return row and _declared(row, row, statement)
        return self._cursor.rowcount if statement.returns == "count" else self._cursor.lastrowid

    def _send(self, statements: tuple[Statement, ...], params: dict[str, Any]) -> None:
        """Execute the statements; the cursor is then at the result of the first one."""
        joined = _joined(statements)
        self.changed |= joined.changes
        text = self._whose.join(joined.parts)
        if self.begun or joined.reads_only:
            self._measured(statements[0], self._cursor.execute, text, params)
            return
        self.begun = True
        self._measured(statements[0], self._begin, text, params)

    def _begin(self, text: str, params: dict[str, Any]) -> None:
        """Execute this after BEGIN."""
        self._cursor.execute(BEGIN + text, params)
        self._cursor.nextset()

    def _measured(self, statement: Measured, call: Callable[..., Any], *arguments: Any) -> None:
        """Let the cursor get the next result, which is this statement's."""
        began = perf_counter_ns()
        try:
            call(*arguments)
        except DatabaseError as error:
            self._meter(statement, perf_counter_ns() - began, 0, error)
            raise
        self._meter(statement, perf_counter_ns() - began, 0 if statement is COMMIT else self._cursor.rowcount)


def _unmeasured(*_: Any) -> None:
    """Take what a Meter takes."""


class _Joined(NamedTuple):
    parts: tuple[str, ...]  # of the text: between them stands whose the statements are
    params: frozenset[str]
    changes: frozenset[str]
    reads_only: bool


@functools.lru_cache(1024)  # a statement that was edited is another one
def _joined(statements: tuple[Statement, ...]) -> _Joined:
    """Return what statements that are sent together have in common."""
    return _Joined(
        tuple("; ".join(statement.text.replace(" */", "\0 */", 1) for statement in statements).split("\0")),
        frozenset().union(*(statement.params for statement in statements)),
        frozenset().union(*(statement.changes for statement in statements)),
        all(statement.reads_only for statement in statements),
    )


def _copied(rows: Any) -> Any:
    return [row.copy() for row in rows] if isinstance(rows, list) else rows and rows.copy()


def _declared(result: Any, row: Row, statement: Statement) -> Any:
    """Return a result whose row has the columns that the header declares; raise Problem where it has others.

    Every statement was checked before it came into use, but a view or a table may have changed since. What it costs:
    less than 1 µs a result.
    """
    if row.keys() != statement.columns.keys():
        raise _other_columns(statement, list(row))
    return result


def problem_of(connection: Any, statement: Statement) -> Problem | None:
    """Let the server prepare a statement against its schema; return what is wrong with it, with the line, or None.

    What is wrong: what the server says against it; and columns, types or NULLs other than the header declares.
    `connection`: of drivers.connect_to_check. Raises DatabaseError where the error is not about the statement.
    """
    try:
        found = connection.describe(statement.prepared())
    except DatabaseError as error:
        if number(error) in LOST | RETRYABLE | TOO_LONG | TOO_MANY | REFUSED:
            raise
        return _refused(statement, str(error.args[-1]))
    return _unlike(statement, found) if statement.returns in ("one", "many") else None


def _unlike(statement: Statement, found: list[tuple[str, Column]]) -> Problem | None:
    """Return what is wrong with the columns that a statement returns, or None."""
    columns, declared = dict(found), statement.columns
    if len(columns) < len(found):
        twice = next(name for name, _ in found if [other for other, _ in found].count(name) > 1)
        return Problem(statement.path, statement.line_of(twice), f"returns {twice} twice; give one another name, by AS")
    if not declared:
        how = "python3 server.py check --write-columns writes it"
        return statement.header.problem("columns", f"it returns {written(columns)}; {how}")
    if columns.keys() != declared.keys():
        return _other_columns(statement, list(columns))
    for name, column in columns.items():
        if not declared[name].covers(column):
            what = f"{name} is {column}, and '-- columns:' declares {declared[name]}"
            return Problem(statement.path, statement.line_of(name), what)
    return None


def _other_columns(statement: Statement, names: list[str]) -> Problem:
    """Return the Problem of a result that has not the columns which the header declares."""
    more = [name for name in names if name not in statement.columns]
    fewer = [name for name in statement.columns if name not in names]
    what = " and ".join(
        [f"returns {name}, which '-- columns:' does not declare" for name in more]
        + [f"does not return {name}, which '-- columns:' declares" for name in fewer]
    )
    return Problem(statement.path, statement.line_of(more[0] if more else ""), what)


def _refused(statement: Statement, message: str) -> Problem:
    """Return the Problem of a statement that the server refuses with this message."""
    line = statement.first_line
    if near := re.search(r"near '(.*)' at line (\d+)\Z", message, re.S):
        line += int(near[2]) - 1
        message = f"syntax error near '{near[1].strip()[:60]}'"
    elif denied := re.search(r"\A(\w+) command denied .*?(\w+)\W?\Z", message):  # only owners hear that there is none
        line = statement.line_of(denied[2])
        message = f"there is no table {denied[2]}, or the account has no right to {denied[1]} there (server.py grants)"
    elif quoted := re.search(r"'([^']+)'|FUNCTION (\S+)", message):
        line = statement.line_of((quoted[1] or quoted[2]).rsplit(".")[-1])
    return Problem(statement.path, line, message)
