"""`db`, what handlers and commands run statements with; and the server's own check of a statement (PREPARE)."""

import re
from collections.abc import Callable
from typing import Any

from core.cache import Cache
from core.db.drivers import DatabaseError, number
from core.db.mysql_errors import LOST, REFUSED, RETRYABLE, TOO_LONG, TOO_MANY
from core.db.statement import Problem, Statement
from core.db.statements import Statements

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
        return self._read(name, "one", params, self._cursor.fetchone)

    def many(self, name: str, /, **params: Any) -> list[Row]:
        """Return all rows, which the caller may change."""
        return self._read(name, "many", params, lambda: list(self._cursor.fetchall()))

    def is_cached(self, name: str, /, **params: Any) -> bool:
        """Whether `one` or `many` would answer from memory."""
        memory, key = self._memory_of(self._statements.get(name, self._problem_of), params)
        return memory is not None and memory.peek(key) is not None

    def run(self, name: str, /, **params: Any) -> int:
        """Change rows; return how many changed. An UPDATE to the same values and a refused upsert count 0."""
        self._execute(self._statement(name, "count", params), params)
        return self._cursor.rowcount

    def add(self, name: str, /, **params: Any) -> int:
        """Insert one row and return its id; or what the statement says by LAST_INSERT_ID(…)."""
        self._execute(self._statement(name, "id", params), params)
        return self._cursor.lastrowid

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

    def _read(self, name: str, returns: str, params: dict[str, Any], fetch: Callable[[], Any]) -> Any:
        statement = self._statement(name, returns, params)

        def read() -> Any:
            self._execute(statement, params)
            return fetch()

        memory, key = self._memory_of(statement, params)
        return _copied(memory.fetch(key, read)[0]) if memory else read()

    def _memory_of(self, statement: Statement, params: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
        """Return the cache.Memory for what this reads (None: there is none), and its key there."""
        memory = None if self.begun else self._cached.get(statement.cached or "")
        return memory, (statement.text, *(params[name] for name in statement.params))

    def _execute(self, statement: Statement, params: dict[str, Any]) -> None:
        if not self.begun and not statement.reads_only:
            self._cursor.connection.begin()
            self.begun = True
        self.changed |= statement.changes
        self._cursor.execute(statement.text, params)

    def _problem_of(self, statement: Statement) -> Problem | None:
        return problem_of(self._cursor, statement)


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
