"""`db`, what handlers and commands run statements with; and the server's own check of a statement (PREPARE)."""

import functools
import re
from typing import Any, NamedTuple

from core.cache import Cache
from core.db.drivers import DatabaseError, number
from core.db.mysql_errors import LOST, REFUSED, RETRYABLE, TOO_LONG, TOO_MANY
from core.db.statement import Problem, Statement
from core.db.statements import Statements

BEGIN = "BEGIN; "  # sent with the first statement: where the server refuses it, it does not run what stands behind it
Row = dict[str, Any]  # of a result, by the names of its columns


class Session:
    """What handlers know as `db`: runs statements of sql/ by name, in the request's one transaction.

    The transaction begins with the first statement that changes or locks something. What is only read before that
    needs none: at READ COMMITTED each statement sees what is committed when it begins, within a transaction too.

    Parameters are given by name and must be exactly the ones that the file declares. Rows belong to the caller, who
    may change them: those from the cache are copies.
    """

    def __init__(self, cursor: Any, statements: Statements, cache: Cache | None = None, again: bool = False) -> None:
        self._cursor = cursor
        self._statements = statements
        self._cached = cache.rows if cache else {}  # what the header of a file says of caching → its cache.Memory
        self.again = again  # whether all of it has run before, and others were in the way
        self.begun = False
        self.committing = False
        self.changed: set[str] = set()  # tables

    def one(self, name: str, /, **params: Any) -> Any:
        """Return the first row as a Row, or None."""
        return self._read(name, "one", params)

    def many(self, name: str, /, **params: Any) -> list[Row]:
        """Return all rows, which the caller may change."""
        return self._read(name, "many", params)

    def is_cached(self, name: str, /, **params: Any) -> bool:
        """Whether `one` or `many` would answer from memory."""
        memory, key = self._memory_of(self._statements.get(name, self._problem_of), params)
        return memory is not None and memory.peek(key) is not None

    def run(self, name: str, /, **params: Any) -> int:
        """Change rows; return how many changed. An UPDATE to the same values and a refused upsert count 0."""
        return self._result(self._statement(name, "count", params), params)

    def add(self, name: str, /, **params: Any) -> int:
        """Insert one row and return its id; or what the statement says by LAST_INSERT_ID(…)."""
        return self._result(self._statement(name, "id", params), params)

    def together(self, *names: str, **params: Any) -> list[Any]:
        """Run statements that are one thought in one round trip; return what each gives, in order.

        For each what `one`, `many`, `run` or `add` would return, by its header; nothing of it comes from the cache.
        Parameters of the same name have the same value. The first statement that fails ends it. What it buys: an add to
        a cart, whose answer is the whole cart, takes 2 round trips instead of 5, and a tenth to a fifth less CPU of
        shop and database (docs/performance.md).
        """
        statements = tuple(self._statements.get(name, self._problem_of) for name in names)
        if params.keys() != _joined(statements).params:
            raise TypeError(f"{', '.join(names)} were called with {sorted(params)}")
        self._send(statements, params)
        results = []
        for place, statement in enumerate(statements):
            if place:
                self._cursor.nextset()
            results.append(self._result_of(statement))
        return results

    def commit(self) -> None:
        """Commit what was begun. After an error the change may be stored all the same: `committing` stays True."""
        self.committing = self.begun
        if self.begun:
            self._cursor.connection.commit()

    def _statement(self, name: str, returns: str, params: dict[str, Any]) -> Statement:
        statement = self._statements.get(name, self._problem_of)
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
            return list(self._cursor.fetchall())
        if statement.returns == "one":
            return self._cursor.fetchone()
        return self._cursor.rowcount if statement.returns == "count" else self._cursor.lastrowid

    def _send(self, statements: tuple[Statement, ...], params: dict[str, Any]) -> None:
        """Execute the statements; the cursor is then at the result of the first one."""
        joined = _joined(statements)
        self.changed |= joined.changes
        if self.begun or joined.reads_only:
            self._cursor.execute(joined.text, params)
            return
        self.begun = True
        self._cursor.execute(BEGIN + joined.text, params)
        self._cursor.nextset()

    def _problem_of(self, statement: Statement) -> Problem | None:
        return problem_of(self._cursor, statement)


class _Joined(NamedTuple):
    text: str
    params: frozenset[str]
    changes: frozenset[str]
    reads_only: bool


@functools.lru_cache(1024)  # a statement that was edited is another one
def _joined(statements: tuple[Statement, ...]) -> _Joined:
    """Return what statements that are sent together have in common."""
    return _Joined(
        "; ".join(statement.text for statement in statements),
        frozenset().union(*(statement.params for statement in statements)),
        frozenset().union(*(statement.changes for statement in statements)),
        all(statement.reads_only for statement in statements),
    )


def _copied(rows: Any) -> Any:
    return [row.copy() for row in rows] if isinstance(rows, list) else rows and rows.copy()


def problem_of(cursor: Any, statement: Statement) -> Problem | None:
    """Let the server PREPARE a statement against its schema; return what it says against it, with the line, or None.

    Raises DatabaseError where the error is not about the statement.
    """
    try:
        cursor.execute("PREPARE bodega_check FROM %s", (statement.prepared(),))
        cursor.execute("DEALLOCATE PREPARE bodega_check")
        return None
    except DatabaseError as error:
        if number(error) in LOST | RETRYABLE | TOO_LONG | TOO_MANY | REFUSED:
            raise
        message = str(error.args[-1])
    line = statement.first_line
    if near := re.search(r"near '(.*)' at line (\d+)\Z", message, re.S):
        line += int(near[2]) - 1
        message = f"syntax error near '{near[1].strip()[:60]}'"
    elif denied := re.search(r"\A(\w+) command denied .*?(\w+)\W?\Z", message):  # only owners hear that there is none
        line = statement.line_of(denied[2])
        message = f"there is no table {denied[2]}, or the account has no right to {denied[1]} there"
    elif quoted := re.search(r"'([^']+)'|FUNCTION (\S+)", message):
        line = statement.line_of((quoted[1] or quoted[2]).rsplit(".")[-1])
    return Problem(statement.path, line, message)
