"""The database: one connection for each thread, and the transaction that a request or a command runs in.

The only page that knows DBUtils. Each serving thread has one connection (DBUtils' PersistentDB: a pool's one lock
would make every thread wait behind a frozen database). DBUtils' fail-over is off, as it would run one statement twice;
what is repeated is the whole transaction, by the rules of `Database.transaction`.
"""

import contextlib
import functools
import inspect
import logging
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from dbutils.persistent_db import PersistentDB

from core import recurring
from core.app import clashes_of
from core.cache import Cache
from core.database_url import DatabaseUrl
from core.db import drivers
from core.db.breaker import Breaker
from core.db.drivers import DatabaseError, connect, number
from core.db.measuring import Meter
from core.db.mysql_errors import CONSTRAINTS, LOST, READ_ONLY, RETRYABLE, UNDONE, UNREACHABLE, Clashes, client_error
from core.db.replica import Replica
from core.db.session import Row, Session, problem_of
from core.db.statement import Problem, Statement
from core.db.statements import Statements
from core.errors import ServiceUnavailable
from core.metrics import Gauge

__all__ = ["Database", "DatabaseError", "Row", "Session"]

log = logging.getLogger("bodega.database")

TRIES = 12
LONG_TRIES = 3
VOID_TRIES = 3
MOVES = 3  # times that a transaction follows to the server that is written to

IN_USE = Gauge("db_client_connection_count", "Connections that a transaction is using.", "db_client_connection_state")
MOST = Gauge("db_client_connection_max", "Connections that the workers may use: one for each thread.")

Result = TypeVar("Result")


class _NoFailover(Exception):
    """Never raised. DBUtils re-executes statements after the exceptions it is given here: none."""


class Database:
    """The plugin: a handler that names `db` runs in one transaction, committed on return, rolled back on raise."""

    name = "database"
    api = 2

    def __init__(
        self,
        url: DatabaseUrl,
        statements: Statements,
        timeout: float,
        cache: Cache | None = None,
        report: Callable[..., None] | None = None,
        *,
        meter: Meter | None = None,
        replica: Replica | None = None,
    ) -> None:
        self.url = url
        self.statements = statements
        self.timeout = timeout  # seconds, see drivers.connect
        self._cache = cache or Cache(0, 0, 0)
        self._report = report or functools.partial(recurring.failing, log)  # gets what clients are not told
        self._meter = meter
        self._new_session: Callable[..., Session] = replica.session if replica else Session
        # Of the connections, where there are several servers.
        self._sockets: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._pool = self._opened_pool()
        self._generation = 0  # of the connections: those of a former one are not used any more
        self.breaker = Breaker(url, timeout, self._out_of_reach, report or log.log)

    def apply(self, callback: Callable[..., Any], route: Any) -> Callable[..., Any]:
        """Wrap the routes whose handler names `db`; one that declares `timeout` (seconds) may take so long.

        A route declares what a constraint means to its clients: clashes={"uq_users_email": errors.DuplicateEmail}.
        A handler whose answer is made while it is sent names `database`, and calls `transaction` itself.
        """
        names, timeout = inspect.signature(route.callback).parameters, route.config.get("timeout")
        if "database" in names:
            callback = functools.partial(callback, database=self)
        if "db" not in names:
            return callback

        clashes = clashes_of(route)
        return lambda **arguments: self.transaction(lambda db: callback(db=db, **arguments), timeout, clashes)

    def transaction(
        self,
        work: Callable[[Session], Result],
        statement_timeout: float | None = None,
        clashes: Clashes | None = None,
    ) -> Result:
        """Run `work(db)` in a transaction and return what it returns.

        After a deadlock or a lock wait, and once after a connection that died of old age, all of it runs again
        (nothing was stored), at most TRIES times and only while `timeout` lasts; so it does with several servers, as
        soon as another one may be written to. It also runs again, once, where a constraint of `clashes` refuses: others
        were faster, and the checks in `work` can tell all that is taken by now. After COMMIT was sent nothing is
        repeated, as it may have been stored, but what mysql_errors.UNDONE says. Raises ApiError: for a constraint what
        `clashes` says it means, or Conflict; ServiceUnavailable for a database that is out of reach; and DatabaseError
        for what is a bug.

        With `statement_timeout`, in seconds, it runs on a connection of its own whose statements may take so long each,
        and LONG_TRIES times at most.
        """
        started = time.monotonic()
        tries = LONG_TRIES if statement_timeout else TRIES
        overtaken = False
        for attempt in range(1, tries + 1):
            if self.breaker.is_open:
                raise ServiceUnavailable(UNREACHABLE)
            session = None
            try:
                with self._session(statement_timeout, again=attempt > 1) as session:
                    result = work(session)
                    self._commit(session)
                for counter, labels, amount in session.counted:
                    counter.add(*labels, amount=amount)
                return result
            except DatabaseError as error:
                if session and session.committing and number(error) not in UNDONE:
                    self.breaker.trip(error)
                    self._report(logging.ERROR, "COMMIT failed, the change may have been stored: %s", error)
                    raise ServiceUnavailable(
                        "The database did not confirm the change. Look whether it is there, then try again."
                    ) from error
                spent = time.monotonic() - started
                again = self._worth_repeating(number(error), attempt, spent, statement_timeout)
                if clashes and not overtaken and number(error) in CONSTRAINTS:
                    again = overtaken = True
                if attempt == tries or not again:
                    if self.breaker.trip(error):
                        raise ServiceUnavailable(UNREACHABLE) from error
                    raise client_error(self.url, error, clashes or {}, self._report) from error
            time.sleep(random.uniform(0, min(0.2, 0.005 * 2**attempt)))  # noqa: S311 - jitter
        raise AssertionError("the last attempt returns or raises")

    def _opened_pool(self) -> PersistentDB:
        connecting = self._connect if self.url.others else connect
        opener = functools.partial(connecting, self.url, self.timeout, scripts=True)
        opener.dbapi = drivers  # type: ignore[attr-defined] # DBUtils reads the module's thread safety here
        return PersistentDB(opener, failures=_NoFailover, ping=0, closeable=True, threadlocal=threading.local)

    def _connect(self, *args: Any, **options: Any) -> Any:
        """Connect to the one of several servers that is written to, and so that `moved` can end the connection."""
        drivers.primary_of(self.url).watch(self)
        connection = connect(*args, **options)
        self._sockets[connection] = drivers.socket_of(connection)
        return connection

    def moved(self, away: bool) -> None:
        """Go on with new connections; see core.db.primary.User."""
        former, self._sockets = self._sockets, weakref.WeakKeyDictionary()
        self._generation += 1
        if away:
            for end in list(former.values()):
                drivers.hang_up(end)

    def _out_of_reach(self, out_of_reach: bool) -> None:
        """Prepare for a database that has gone, or is back."""
        self._cache.serve_stale(out_of_reach)
        self._generation += out_of_reach

    def _connection(self) -> Any:
        """Return this thread's connection; one of before an outage, or to another server, is closed.

        Who asked by it might wait in vain. The thread closes it by itself: left to the garbage collector, its socket
        may stay open for hours.
        """
        mine, generation = self._pool.thread, self._generation
        if getattr(mine, "generation", generation) != generation and hasattr(mine, "connection"):
            self._leave(mine.connection)
        mine.generation = generation
        return self._pool.connection()

    def _leave(self, connection: Any) -> None:
        """Close this thread's connection, so that the next one is new."""
        del self._pool.thread.connection
        with contextlib.suppress(*DatabaseError):  # it may be closed already
            connection.close()

    def _problem_of(self, statement: Statement) -> Problem | None:
        """Return what is wrong with an edited statement."""
        with contextlib.closing(drivers.connect_to_check(self.url, self.timeout)) as connection:
            return problem_of(connection, statement)

    @contextlib.contextmanager
    def _session(self, statement_timeout: float | None, again: bool) -> Iterator[Session]:
        """Give a Session on this thread's connection, or on one for itself; roll back if the block raises."""
        if statement_timeout:
            connecting = self._connect if self.url.others else connect
            connection = connecting(self.url, self.timeout, statement_timeout, scripts=True)
            try:
                with connection.cursor() as cursor:
                    yield self._new_session(
                        cursor, self.statements, again=again, check=self._problem_of, meter=self._meter
                    )
            finally:
                with contextlib.suppress(*DatabaseError):  # it may be closed already
                    connection.close()
            return
        connection, session = self._connection(), None
        IN_USE.add("used")
        try:
            # The driver's own cursor: DBUtils' takes 2 µs for a statement, to repeat what must not be repeated.
            cursor = connection.dbapi_connection.cursor()
            try:
                session = self._new_session(
                    cursor, self.statements, self._cache, again, check=self._problem_of, meter=self._meter
                )
                yield session
            finally:
                with contextlib.suppress(*DatabaseError):  # results that nobody has read, of a connection that is lost
                    cursor.close()
        except DatabaseError as error:
            self._roll_back(connection, broken=number(error) in LOST)
            raise
        except BaseException:
            if session and session.begun:
                self._roll_back(connection)
            raise
        finally:
            IN_USE.add("used", amount=-1)

    def _roll_back(self, connection: Any, broken: bool = False) -> None:
        """Roll back; close a connection that cannot, or that is known to be broken, so that the next one is new."""
        try:
            if not broken:
                connection.rollback()
                return
        except DatabaseError as error:
            log.info("a connection that cannot roll back is closed: %s", error)
        self._leave(connection)

    def _commit(self, session: Session) -> None:
        try:
            session.commit()
        finally:  # it may have been stored, even where an error came back
            if session.committing:
                self._void(session.changed)

    def _void(self, tables: set[str]) -> None:
        """Void what is cached of these tables. Raises nothing: the change is stored, and its answer holds."""
        for _ in range(VOID_TRIES):
            try:
                self._cache.changed(tables)
            except Exception:
                log.exception("what is cached could not be voided after a change")
            else:
                break

    def _worth_repeating(self, code: int, attempt: int, spent: float, statement_timeout: float | None) -> bool:
        if self.url.others and code in LOST | READ_ONLY:
            return attempt <= MOVES and drivers.primary_of(self.url).is_known_again(self.timeout - spent)
        if code in LOST:
            return attempt == 1 and not statement_timeout and spent < self.timeout / 10
        return code in RETRYABLE and (bool(statement_timeout) or spent < self.timeout)
