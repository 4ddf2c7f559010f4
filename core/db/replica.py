"""Reads from a replica, where DATABASE_REPLICA_URL names one: statements whose header says `-- replica: ok`.

A replica is behind. Who reads an old row there, and may he? A statement runs there only

1. in a request that changes nothing (GET): what is decided for a change is read where it is made. There it runs outside
   of a transaction, and by itself.
2. while the replica is known to have all that was stored until 5 seconds ago (`FRESH`), see replica_watch.py.
3. while it is known to have all by which **this host** has voided its cache: all that was stored before the moment at
   which this process has first seen the present number of the cache's generation. A cached answer or count is labelled
   with the number that was there before it was read; it then has all changes up to that number, as one from the
   primary has. So who buys something, with or without an account, sees on this host at once what is left, in a
   cached answer, too. Where hosts share their generation, that holds for all of them.
4. for **who is logged in**, if it has all that this login has changed, through whichever host: a change adds 1 to the
   login's row, in its own transaction, and the row is compared. A transaction is there as a whole or not at all, so no
   time plays a part. A request whose token was not looked up reads from the primary.

What is left: without a token, a change by another host is seen FRESH + CACHE_TTL later at the latest (without a
replica: CACHE_TTL); with one, what others have changed, FRESH later. Carts, single orders, one's own orders and logins
are of statements without that line. Rows never come from a replica that cannot answer, lacks a table or a right, or is
another server than the one that was looked at: the statement, and the rest of its request, runs on the primary instead.

What it buys: for the mix of tests/load/shopper.lua the database needs a fifth of the processor time where nothing is
bought, a third with five orders a second, half with thirteen (tests/load/replica.py measures it). What it costs there:
a statement more for each change of somebody who is logged in. Without the setting `Database` makes a plain Session.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from time import monotonic_ns
from typing import Any

from core import logs, recurring
from core.cache import Generation
from core.database_url import DatabaseUrl
from core.db.drivers import DatabaseError, connect, number, socket_of
from core.db.measuring import Meter
from core.db.mysql_errors import TOO_LONG
from core.db.replica_watch import ANSWER, Server, Watch, close
from core.db.session import Session
from core.db.statement import Problem, Statement
from core.db.statements import Statements
from core.metrics import Counter

WRITER = "bodega.writer"  # in the environ: (hash of the token, changes of its login), as the primary has them
TOKEN = "HTTP_AUTHORIZATION"  # noqa: S105 - the name of a header

READS = Counter("bodega_replica_reads_total", "Statements of the kind that a replica may answer.", "server")

TROUBLE: tuple[type[Exception], ...] = (Problem, *DatabaseError)

log = logging.getLogger("bodega.database")


class Replica:
    """The replicas of a shop, and each thread's connection to the one that is used.

    `generation`: of the cache whose answers may be made from it. The statements: `beat` and `get` as
    replica_watch.Watch has them; `note` counts a change of a login, and `changes` reads how many there are.
    """

    def __init__(
        self,
        url: DatabaseUrl,
        primary: DatabaseUrl,
        timeout: float,
        statements: Statements,
        generation: Generation,
        *,
        meter: Meter | None,
        note: str,
        changes: str,
        **names: str,
    ) -> None:
        self.note, self.changes = note, changes
        self.watch = Watch(url, primary, timeout, statements, meter=meter, **names)
        self._timeout = timeout
        self._generation = generation
        self._noticed = 0, 0  # a number of the generation, and when it was first seen here
        self._mine = threading.local()  # .server and .connection

    def session(self, *arguments: Any, **named: Any) -> "ReplicaSession":
        """Return a session of a request, as Session has it."""
        return ReplicaSession(self, *arguments, **named)

    def usable(self) -> Server | None:
        """Return the server, if it may be read from now."""
        server = self.watch.server
        if server is None:
            self.watch.begin()
            return None
        until, present, noticed = server.until, self._generation.number, self._noticed
        if noticed[0] != present:  # whoever replaced it had stored his change before this moment
            noticed = self._noticed = present, monotonic_ns()
        if until < noticed[1]:
            self.watch.wanted.set()
            return None
        return server if server.is_fresh else None

    @contextlib.contextmanager
    def reading(self, server: Server, statement: Statement) -> Iterator[Any]:
        """Give a connection to run this statement on, or None; this thread's, or one for a statement that takes long.

        After an exception this thread's next connection is new. Raises DatabaseError.
        """
        longest = (statement.header.timeout or 0.0) * 1.2 + 1  # the statement's own limit comes first
        if longest > max(self._timeout, 2.0):
            connection = self.connect(server, longest)
            try:
                yield connection
            finally:
                self.close(server, connection)
            return
        try:
            if getattr(self._mine, "server", None) is not server:
                self.give_up()
                self._mine.connection = self.connect(server)
                self._mine.server = server
            yield self._mine.connection
        except BaseException:
            self.give_up()
            raise

    def connect(self, server: Server, statement_timeout: float = 0.0) -> Any:
        """Open a connection to this server, or return None: behind its address may be another, or an older state."""
        timeout = max(self._timeout, statement_timeout)
        connection = connect(server.url, min(self._timeout, ANSWER), timeout, scripts=True)
        server.sockets[connection] = socket_of(connection)
        until = server.until
        name, beat = self.watch.look(connection)
        if name == server.name and beat >= until:
            return connection
        self.close(server, connection)
        what = "The address of the replica %s leads to several servers, or it was just restored: the primary is read."
        recurring.failing(log, logging.WARNING, what, server.url.place)
        return None

    def close(self, server: Server, connection: Any) -> None:
        """Close a connection."""
        if connection is not None:
            server.sockets.pop(connection, None)
            close(connection)

    def give_up(self) -> None:
        """Close this thread's connection, if there is one; the next one is new."""
        if server := getattr(self._mine, "server", None):
            self._mine.server = None
            self.close(server, self._mine.connection)


class ReplicaSession(Session):
    """A Session that reads from the replica what it may, and notes that a login has changed something."""

    def __init__(self, replica: Replica, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        serving = logs.SERVING.get() or {}
        self._replica = replica
        self._writer: tuple[str, int] | None = serving.get(WRITER)
        # Once the primary has answered, it goes on: what is read later is never older.
        self._may_lag = serving.get("REQUEST_METHOD") in ("GET", "HEAD") and (self._writer or TOKEN not in serving)
        self._known: Server | None = None  # which has what this login has changed

    def commit(self) -> None:
        """Commit what was begun, and with it that this login has changed something."""
        if self.begun and self.changed and self._writer:
            self.run(self._replica.note, token_hash=self._writer[0])
        super().commit()

    def _result(self, statement: Statement, params: dict[str, Any]) -> Any:
        if not (statement.may_lag and self._may_lag) or self.begun:
            return super()._result(statement, params)
        try:
            if server := self._replica.usable():
                with self._replica.reading(server, statement) as connection:
                    if connection and self._has_own_changes(server, connection):
                        result = self._replica.watch.session(connection)._result(statement, params)
                        READS.add("replica")
                        return result
        except TROUBLE as error:
            if number(error) in TOO_LONG:
                raise
            what = "The replica did not answer, the primary does: %s"
            recurring.failing(log, logging.WARNING, what, error)
        self._may_lag = False
        READS.add("primary")
        return super()._result(statement, params)

    def _has_own_changes(self, server: Server, connection: Any) -> bool:
        """Whether the replica has all that this login has changed; without a login there is nothing of the kind."""
        if self._writer and self._known is not server:
            token_hash, changes = self._writer
            row = self._replica.watch.session(connection).one(self._replica.changes, token_hash=token_hash)
            if row is None or row["changes"] < changes:
                return False
        self._known = server
        return True
