"""What one of several database servers is good for, by its own word: core/db/primary.py chooses among them by that."""

import contextlib
import enum
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from core.database_url import DatabaseUrl

SILENCE = 1.0  # seconds without an answer, from which a server counts as away
IS_GALERA = "SHOW GLOBAL VARIABLES LIKE 'wsrep_on'"  # there is no such variable in MySQL
GALERA = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state', 'wsrep_cluster_status')"
READ_ONLY = "SELECT @@GLOBAL.read_only AS read_only"
REJECTS = "SELECT @@GLOBAL.wsrep_reject_queries AS rejects"
SYNCED = "4"  # wsrep_local_state


class Fitness(enum.IntEnum):
    """What a server is good for; less is better."""

    WRITABLE = 0
    DESYNCED = 1  # a Galera node that takes writes, while it gives its data to another node or catches up
    READ_ONLY = 2  # a replica, say
    AWAY = 3  # it does not answer, refuses the login, or is cut off from its cluster


class Seen(NamedTuple):
    """What a look has found."""

    began: float  # when it began (monotonic)
    fitness: Fitness
    why: str  # for people: "b:3306 is read-only"
    code: object = None  # the number of the error, where one says that the server is away


class Look:
    """The connection by which one thread looks at one server."""

    def __init__(self, url: DatabaseUrl, log_in: Callable[..., Any]) -> None:
        self._url = url
        self._log_in = log_in
        self._connection: Any = None
        self._galera = False

    def see(self) -> Seen:
        """Return what the server is good for; within about SILENCE.

        Raises nothing: where a look breaks, the server is away. A connection that was lost says little (somebody may
        have ended it), so there is one more try, with a new one.
        """
        began = time.monotonic()
        kept = self._connection is not None
        found = self._seen(began)
        if kept and found.fitness == Fitness.AWAY and time.monotonic() - began < SILENCE / 2:
            found = self._seen(began)
        return found

    def leave(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection:
            with contextlib.suppress(Exception):  # it may be closed already
                connection.close()

    def _seen(self, began: float) -> Seen:
        name = name_of(self._url)
        try:
            new = not self._connection
            if new:
                self._connection = self._log_in(self._url, SILENCE, SILENCE)
            with self._connection.cursor() as cursor:
                if new:
                    self._galera = is_galera(cursor)
                return Seen(began, *verdict(name, cursor, self._galera))
        except Exception as error:
            self.leave()
            code = error.args[0] if len(error.args) > 1 else None
            return Seen(began, Fitness.AWAY, f"{name}: {error.args[-1] if error.args else error}", code)


def name_of(url: DatabaseUrl) -> str:
    """Return how a server is called where the database is known: "b:3306"."""
    return f"{url.host}:{url.port}"


def is_galera(cursor: Any) -> bool:
    """Return whether the server is a node of a Galera cluster."""
    cursor.execute(IS_GALERA)
    return _told(cursor).get("wsrep_on") == "ON"


def verdict(name: str, cursor: Any, galera: bool) -> tuple[Fitness, str]:
    """Return what the server is good for, and why, by what it says of itself; it takes no right to ask that.

    A node of Galera says its state; of MySQL Group Replication, the primary alone has read_only off.
    """
    state = {}
    if galera:
        cursor.execute(GALERA)
        state = _told(cursor)
        if state.get("wsrep_ready") != "ON" or state.get("wsrep_cluster_status") != "Primary":
            return Fitness.AWAY, f"{name} is cut off from its cluster, or joins it"
        cursor.execute(REJECTS)
        if cursor.fetchone()["rejects"] != "NONE":
            return Fitness.AWAY, f"{name} was told to reject queries (wsrep_reject_queries)"
    cursor.execute(READ_ONLY)
    if str(cursor.fetchone()["read_only"]) not in ("0", "OFF"):  # an ON of MariaDB 12 has several names
        return Fitness.READ_ONLY, f"{name} is read-only"
    if galera and state.get("wsrep_local_state") != SYNCED:
        return Fitness.DESYNCED, f"{name} is not in step with its cluster"
    return Fitness.WRITABLE, f"{name} may be written to"


def _told(cursor: Any) -> dict[str, str]:
    return {row["Variable_name"]: row["Value"] for row in cursor.fetchall()}
