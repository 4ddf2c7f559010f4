"""Which host of several does what is done once: the one that holds the database's own lock (GET_LOCK)."""

import contextlib
import hashlib
import logging
from typing import Any

from core.database_url import DatabaseUrl
from core.db.drivers import DatabaseError, connect, present

IDLE_TIMEOUT = 60  # seconds; then the server frees the lock of a host that has vanished without a word

log = logging.getLogger("bodega.database")


class HostLock:
    """A lock of this name, in this database; held for as long as its connection lives.

    The nodes of a cluster do not share such locks: it is held on the one that is written to, by a new connection where
    that is another one now. What it guards must be sound without it, and is only done twice at times.
    """

    def __init__(self, url: DatabaseUrl, timeout: float, name: str) -> None:
        self._url = url
        self._timeout = timeout
        # Lock names are the server's, not the database's, and hold 64 characters at most.
        self.name = f"{name}.{hashlib.sha256(url.database.encode()).hexdigest()[:32]}"
        self._connection: Any = None
        self._server = url  # where it is

    def hold(self) -> bool:
        """Take the lock, if nobody has it; return whether it is held here. To be called within IDLE_TIMEOUT again.

        One statement: who holds the lock gets it once more.
        """
        try:
            server = present(self._url)
            if server != self._server:
                self.release()
            if self._connection is None:
                self._server = server
                self._connection = connect(server, self._timeout)
                self._query("SET SESSION wait_timeout = %s", IDLE_TIMEOUT)
            return self._query("SELECT GET_LOCK(%s, 0) AS held", self.name) == 1
        except DatabaseError as error:
            log.debug("the lock %r cannot be had: %s", self.name, error)
            self.release()
            return False

    def release(self) -> None:
        """Give the lock back, by closing the connection."""
        connection, self._connection = self._connection, None
        if connection:
            with contextlib.suppress(*DatabaseError):  # it may be closed already
                connection.close()

    def _query(self, statement: str, value: object) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, (value,))
            return row["held"] if (row := cursor.fetchone()) else None
