"""The database: connections, the transaction plugin, and `db`, what handlers and commands run statements with.

The only page that knows DBUtils. Each serving thread keeps one connection (DBUtils' PersistentDB: a
pool's one lock would make every thread wait behind a frozen database). Nothing is ever executed twice behind our
back: DBUtils' own fail-over is off, and what is repeated is the whole request, by the rules of `transaction`.
"""

import contextlib
import functools
import inspect
import logging
import random
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from dbutils.persistent_db import PersistentDB

from core.cache import Cache
from core.db import drivers
from core.db.drivers import DatabaseError, connect, number
from core.db.statements import Problem
from core.errors import ApiError, Conflict, ServiceUnavailable

log = logging.getLogger("bodega.database")

Row = dict[str, Any]  # of a result, by the names of its columns
Clashes = Mapping[str, type[ApiError]]  # constraint → what it means to a client

AGAIN = {1205, 1213, 1020, 1467}  # lock wait, deadlock, and what MariaDB says in place of 1213
LOST = {0, 2002, 2003, 2006, 2013, 2014, 2055, 1040, 1047, 1053, 1129, 1203, 1927, 3168, 4031}
REFUSED = {1044, 1045, 1049, 1130, 1227, 1698, 2012, 2059, 2061}
DENIED = {1142, 1143}  # one statement, on one table or column
TOO_LONG = {1028, 1317, 1969, 3024}
TOO_MANY = {1461}  # prepared statements of all connections
UNFINISHED = {1054, 1146, 1305}  # no such column, table, function: a migration is pending
READ_ONLY_OR_FULL = {1021, 1041, 1114, 1290, 1792, 1836}
CLASHES = {1062, 1451, 1452, 3819, 4025}  # unique, foreign and check constraints
TRIES = 12
LONG_TRIES = 3
VOID_TRIES = 3

UNREACHABLE = "The shop's database does not answer. Try again in a moment."


class _NoFailover(Exception):
    """Never raised. DBUtils re-executes statements after the exceptions it is given here: none."""


class Session:
    """What handlers know as `db`: runs statements of sql/ by name, in the request's one transaction.

    The transaction begins with the first statement that changes or locks something. What is only read before that
    needs none: at READ COMMITTED each statement sees what is committed when it begins, within a transaction too.

    Parameters are given by name and must be exactly the ones that the file declares.
    """

    def __init__(self, cursor, statements, cache=None, again=False):
        self._cursor = cursor
        self._statements = statements
        self._rows = cache.rows if cache else {}  # what the header of a file lets be kept → the cache.Memory for it
        self.again = again  # whether all of it has run before, and others were in the way
        self.begun = False
        self.changed = set()  # tables

    def one(self, name, /, **params):
        """Return the first row as a dict, or None. It may be given to others too: change a copy."""
        return self._read(name, "one", params, self._cursor.fetchone)

    def many(self, name, /, **params):
        """Return all rows as a list of dicts. They may be given to others too: change copies."""
        return self._read(name, "many", params, lambda: list(self._cursor.fetchall()))

    def is_cached(self, name, /, **params):
        """Whether `one` or `many` would answer from memory."""
        memory, key = self._kept(self._statements.get(name, self._prepare), params)
        return memory is not None and memory.peek(key) is not None

    def run(self, name, /, **params):
        """Change rows; return how many changed. An UPDATE to the same values and a refused upsert count 0."""
        self._execute(self._statement(name, "count", params), params)
        return self._cursor.rowcount

    def add(self, name, /, **params):
        """Insert one row; return its id."""
        self._execute(self._statement(name, "id", params), params)
        return self._cursor.lastrowid

    def undo(self):
        """Roll back what has been done so far, for a rehearsal."""
        if self.begun:
            self._cursor.connection.rollback()
            self.begun = False
            self.changed.clear()

    def _statement(self, name, returns, params):
        statement = self._statements.get(name, self._prepare)
        if statement.returns != returns or params.keys() != statement.params.keys():
            raise TypeError(
                f"{statement.path} returns {statement.returns} for {sorted(statement.params)}; "
                f"it was called for {returns} with {sorted(params)}"
            )
        return statement

    def _read(self, name, returns, params, fetch):
        statement = self._statement(name, returns, params)

        def read():
            self._execute(statement, params)
            return fetch()

        memory, key = self._kept(statement, params)
        return memory.fetch(key, read)[0] if memory else read()

    def _kept(self, statement, params):
        """Return the cache.Memory that keeps what this reads (None: none does), and its key there."""
        memory = None if self.begun else self._rows.get(statement.cached)
        return memory, (statement.text, *(params[name] for name in statement.params))

    def _execute(self, statement, params):
        if not self.begun and not statement.reads_only:
            self._cursor.connection.begin()
            self.begun = True
        self.changed |= statement.changes
        self._cursor.execute(statement.text, params)

    def _prepare(self, statement):
        prepare(self._cursor, statement)


def prepare(cursor, statement):
    """Let the server PREPARE a statement against its schema; raise statements.Problem with file and line."""
    try:
        cursor.execute("PREPARE bodega_check FROM %s", (statement.prepared(),))
        cursor.execute("DEALLOCATE PREPARE bodega_check")
    except DatabaseError as error:
        code, message = number(error), str(error.args[-1])
        if code in LOST | AGAIN | TOO_LONG | TOO_MANY | REFUSED:
            raise
        line = statement.first_line
        if near := re.search(r"near '(.*)' at line (\d+)\Z", message, re.S):
            line += int(near[2]) - 1
            message = f"syntax error near '{near[1].strip()[:60]}'"
        elif denied := re.search(
            r"\A(\w+) command denied .*?(\w+)\W?\Z", message
        ):  # only owners hear that there is none
            line = statement.line_of(denied[2])
            message = f"there is no table {denied[2]}, or the account has no right to {denied[1]} there"
        elif quoted := re.search(r"'([^']+)'|FUNCTION (\S+)", message):
            line = statement.line_of((quoted[1] or quoted[2]).rsplit(".")[-1])
        raise Problem(statement.path, line, message) from None


def problem_of(cursor, statement):
    """Return what the server says against a statement, as a Problem, or None."""
    try:
        prepare(cursor, statement)
    except Problem as problem:
        return problem
    return None


class Database:
    """The plugin: a handler that names `db` runs in one transaction, committed on return, rolled back on raise."""

    name = "database"
    api = 2

    def __init__(self, url, statements, timeout, cache=None):
        self.url = url
        self.statements = statements
        self.timeout = timeout  # seconds, see `connect`
        self._cache = cache or Cache(0, 0, 0)
        self._pool = PersistentDB(
            self._connect, failures=_NoFailover, ping=0, closeable=True, threadlocal=threading.local
        )
        self._down_until = 0.0

    def _connect(self):
        return connect(self.url, self.timeout)

    _connect.dbapi = drivers  # DBUtils reads the module's thread safety here

    def apply(self, callback, route):
        """Wrap the routes whose handler names `db`; one that declares `timeout` (seconds) may take so long.

        A route declares what a constraint means to its clients: clashes={"uq_users_email": errors.DuplicateEmail}.
        A handler whose answer is made while it is sent names `database`, and calls `transaction` itself.
        """
        names, timeout = inspect.signature(route.callback).parameters, route.config.get("timeout")
        if "database" in names:
            callback = functools.partial(callback, database=self)
        if "db" not in names:
            return callback

        prefix = "clashes."  # Bottle's ConfigDict flattens a dict
        clashes = {key.removeprefix(prefix): route.config[key] for key in route.config if key.startswith(prefix)}
        return lambda **arguments: self.transaction(lambda db: callback(db=db, **arguments), timeout, clashes)

    def transaction(self, work, statement_timeout=None, clashes: Clashes | None = None):
        """Run `work(db)` in a transaction and return what it returns.

        After a deadlock or a lock wait, and once after a connection that died of old age, all of it runs again
        (nothing was stored), at most TRIES times and only while `timeout` lasts. After COMMIT was sent nothing is
        repeated: it may have been stored. Raises ApiError: for a constraint what `clashes` says it means, or Conflict;
        ServiceUnavailable for a database that is out of reach; and DatabaseError for what is a bug.

        With `statement_timeout`, in seconds, it runs on a connection of its own whose statements may take so long each,
        and LONG_TRIES times at most.
        """
        started = time.monotonic()
        if started < self._down_until:  # one thread has just waited in vain; the others need not
            raise ServiceUnavailable(UNREACHABLE)
        tries = LONG_TRIES if statement_timeout else TRIES
        for attempt in range(1, tries + 1):
            connection, session, committing = None, None, False
            try:
                connection = (
                    connect(self.url, self.timeout, statement_timeout) if statement_timeout else self._pool.connection()
                )
                with connection.cursor() as cursor:
                    session = Session(
                        cursor, self.statements, None if statement_timeout else self._cache, again=attempt > 1
                    )
                    result = work(session)
                committing = session.begun
                if committing:
                    self._commit(connection, session.changed)
            except DatabaseError as error:
                self._end(connection, statement_timeout, broken=number(error) in LOST)
                spent = time.monotonic() - started
                if (
                    attempt == tries
                    or committing
                    or not self._worth_repeating(number(error), attempt, spent, statement_timeout)
                ):
                    raise self._failure(error, committing, clashes or {}) from error
                time.sleep(random.uniform(0, min(0.2, 0.005 * 2**attempt)))  # noqa: S311 - jitter
            except BaseException:
                if statement_timeout or (session and session.begun):
                    self._end(connection, statement_timeout)
                raise
            else:
                if statement_timeout:
                    self._end(connection, statement_timeout)
                return result
        raise AssertionError("the last attempt returns or raises")

    def _commit(self, connection, changed):
        try:
            connection.commit()
        finally:  # it may have been stored, whatever we have heard
            self._void(changed)

    def _void(self, tables):
        """Void what is kept of these tables. Raises nothing: the change is stored, and its answer stands."""
        for _ in range(VOID_TRIES):
            try:
                self._cache.changed(tables)
            except Exception:
                log.exception("what is kept in memory could not be voided after a change")
            else:
                break

    def _worth_repeating(self, code, attempt, spent, statement_timeout):
        if code in LOST:
            return attempt == 1 and not statement_timeout and spent < self.timeout / 4
        return code in AGAIN and (statement_timeout or spent < self.timeout)

    def _end(self, connection, own, broken=False):
        """Roll back. A connection that cannot, or is known to be broken, or somebody's own for once, is let go of."""
        if connection is None:
            return
        try:
            if not own and not broken:
                connection.rollback()
                return
        except DatabaseError as error:
            log.info("a connection that cannot roll back is let go of: %s", error)
        if not own:
            del self._pool.thread.connection
        with contextlib.suppress(DatabaseError):  # it is closed already
            connection.close()

    def _failure(self, error, committing, clashes):
        """Return what the client is told of a DatabaseError; the log gets the database's own words."""
        code = number(error)
        if committing:
            log.error("COMMIT failed, the change may have been stored: %s", error)
            return ServiceUnavailable(
                "The database did not confirm the change. Look whether it is there, then try again."
            )
        if code in CLASHES:
            said = str(error.args[-1]).rpartition(" for key ")[2]  # before it stands what the client sent
            return next((meaning for key, meaning in clashes.items() if key in said), Conflict)()
        if code in LOST | REFUSED:
            self._down_until = time.monotonic() + 0.5
            log.error("The database %s is out of reach: %s", self.url.place, error)
            return ServiceUnavailable(UNREACHABLE)
        if code in DENIED:
            log.error("The account %r lacks a right, see README: %s", self.url.user, error)
            return ServiceUnavailable(UNREACHABLE)
        if code in UNFINISHED:
            log.error("The schema is not the one this version needs: %s. Type: python3 server.py migrate", error)
            return ServiceUnavailable("The shop is being updated. Try again in a moment.", retry_after=10)
        if code in AGAIN | TOO_LONG | READ_ONLY_OR_FULL:
            log.warning("The database could not finish: %s", error)
            return ServiceUnavailable("The shop is very busy. Try again in a moment.")
        return error


def refusal(url, error):
    """Return the sentence for a person at the terminal whose command cannot reach the database."""
    code = number(error)
    if code in (1045, 1698):
        return f"The database refused the login {url.user!r} at {url.place}. Check user and password in DATABASE_URL."
    if code in (1044, 1049):
        return (
            f"There is no database {url.database!r} there, or {url.user!r} may not use it. Create it and grant the "
            f"rights: CREATE DATABASE `{url.database}` CHARACTER SET utf8mb4; GRANT ALL ON `{url.database}`.* TO …;"
        )
    if code in LOST and re.search(r"\b(SSL|TLS)\b", str(error.args[-1])):
        return (
            f"The database {url.place} does not prove that it is {url.host}, so the password was not sent. Give it a "
            "certificate for that name, and name its CA in DATABASE_URL if this machine does not know it "
            "(?ssl_ca=/path/to/ca.pem); or say that it may be spoken to in the clear, in a network that is yours alone "
            f"(?ssl=off). (It said: {error.args[-1]})"
        )
    if code in LOST:
        said = error.args[-1]
        return f"The database {url.place} cannot be reached. Start it, or correct DATABASE_URL. (It said: {said})"
    return f"The database {url.place} refused: {error.args[-1] if error.args else error}"
