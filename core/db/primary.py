"""Which of several servers is written to: the first one in DATABASE_URL that may be.

Where DATABASE_URL names several servers, all shops write to one of them at a time. Each process chooses it by the same
rule from what the servers say, and so comes to the same one without being told by another process. With one server
nothing here runs. What it buys: a server that is killed fails no request but those whose COMMIT it had; one that falls
silent lets a request wait 1.5 s, where without it the shop was out until somebody changed DATABASE_URL. What it costs:
one connection of each process to each server, and with three servers 1.4 ms of processor a second in each process and
0.5 ms on each server (on a Galera node 1 ms); a request costs nothing more. To measure again: /proc/PID/stat around
20 s of Primary.watch.
"""

import contextlib
import enum
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from core.database_url import DatabaseUrl
from core.metrics import Counter

log = logging.getLogger("bodega.database")

PERIOD = 0.5  # seconds between two looks at a server
SILENCE = 1.0  # seconds without an answer, from which a server counts as away
BACK = (
    8.0  # seconds that an earlier server must be well; a Galera node takes 6 to see that it was put out, while frozen
)
IS_GALERA = "SHOW GLOBAL VARIABLES LIKE 'wsrep_on'"  # there is no such variable in MySQL
GALERA = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state', 'wsrep_cluster_status')"
READ_ONLY = "SELECT @@GLOBAL.read_only AS read_only"
REJECTS = "SELECT @@GLOBAL.wsrep_reject_queries AS rejects"
SYNCED = "4"  # wsrep_local_state

MOVED = Counter("bodega_database_moved_total", "Times that a process went on to another of several database servers.")


class Fitness(enum.IntEnum):
    """What a server is good for; less is better."""

    WRITABLE = 0
    DESYNCED = 1  # a Galera node that takes writes, while it gives its data to another node or catches up
    READ_ONLY = 2  # a replica, say
    AWAY = 3  # it does not answer, refuses the login, or is cut off from its cluster


Verdict = tuple[Fitness, str]  # and why, for people: "b:3306 is read-only"


class NoServer(Exception):
    """None of the servers can be used: the error's number, where all have the same one, and what is wrong with each."""


class User(Protocol):
    """Who is told that another server is the one to write to."""

    def moved(self, away: bool) -> None:
        """Open new connections; with `away` the former server is silent, and who waits for it waits in vain."""


class Server:
    """One server of the list, what was last seen of it, and the connection that looks."""

    def __init__(self, url: DatabaseUrl, log_in: Callable[..., Any]) -> None:
        self.url = url
        self.name = f"{url.host}:{url.port}"
        self.fitness, self.why = Fitness.AWAY, f"{self.name} has not been asked yet"
        self.since = 0.0  # when it was first seen as it is
        self.looked = 0.0  # when the look began that saw it so
        self._log_in = log_in
        self.code: object = None  # the number of the error, where one says that it is away
        self._connection: Any = None
        self._galera = False

    def look(self) -> tuple[float, Verdict]:
        """Return what it is good for, and when that was asked; within about SILENCE.

        Raises nothing: where a look breaks, the server is away. A connection that was lost says little (somebody may
        have ended it), so there is one more try, with a new one.
        """
        began = time.monotonic()
        kept = self._connection is not None
        found = self._seen()
        if kept and found[0] == Fitness.AWAY and time.monotonic() - began < SILENCE / 2:
            found = self._seen()
        return began, found

    def note(self, began: float, found: Verdict) -> None:
        """Take what a look has found."""
        if found[0] != self.fitness:
            self.since = began
        self.fitness, self.why = found
        self.looked = began

    def leave(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection:
            with contextlib.suppress(Exception):  # it may be closed already
                connection.close()

    def _seen(self) -> Verdict:
        self.code = None
        try:
            new = not self._connection
            if new:
                self._connection = self._log_in(self.url, SILENCE, SILENCE)
            with self._connection.cursor() as cursor:
                if new:
                    self._galera = is_galera(cursor)
                return verdict(self.name, cursor, self._galera)
        except Exception as error:
            self.leave()
            self.code = error.args[0] if len(error.args) > 1 else None
            return Fitness.AWAY, f"{self.name}: {error.args[-1] if error.args else error}"


def is_galera(cursor: Any) -> bool:
    """Return whether the server is a node of a Galera cluster."""
    cursor.execute(IS_GALERA)
    return _told(cursor).get("wsrep_on") == "ON"


def verdict(name: str, cursor: Any, galera: bool) -> Verdict:
    """Return what the server is good for, by what it says of itself; it takes no right to ask that.

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


class Primary:
    """The servers of one DATABASE_URL, and the one of them to write to.

    Without users it looks at them anew whenever it is asked, in order. With some (a core.db.database.Database each) a
    thread for each server watches it, as long as they live.
    """

    def __init__(self, url: DatabaseUrl, log_in: Callable[..., Any]) -> None:
        self._servers = [Server(one, log_in) for one in url.servers]
        self._present = self._servers[0]
        self._changed = threading.Condition()
        self._users: weakref.WeakSet[User] = weakref.WeakSet()
        self._watched = False
        self._asked = 0.0  # when somebody last wanted to know at once
        self._well = time.monotonic()  # when there last was a server to write to

    def watch(self, user: User) -> None:
        """Watch the servers from now on, and tell `user` of each move."""
        with self._changed:
            self._users.add(user)
            if not self._watched:
                self._look()
                self._watched = True
                for server in self._servers:
                    threading.Thread(target=self._watch, args=(server,), name="primary", daemon=True).start()

    def server(self) -> DatabaseUrl:
        """Return the server to connect to: the first that is writable, else the fittest. Raises NoServer."""
        with self._changed:
            if not self._watched:
                self._look()
            if self._present.fitness == Fitness.AWAY:
                codes = {server.code for server in self._servers}
                raise NoServer(codes.pop() if len(codes) == 1 else None, "; ".join(one.why for one in self._servers))
            return self._present.url

    def is_known_again(self, within: float, at_worst: Fitness = Fitness.WRITABLE) -> bool:
        """Have all servers looked at anew; return whether one is then known to be as good as that.

        It waits for that up to `within` seconds, counted from when there last was a server to write to: in a longer
        outage nobody waits.
        """
        with self._changed:
            if not self._watched:
                self._look()
                return self._present.fitness <= at_worst
            self._asked = asked = time.monotonic()
            self._changed.notify_all()
            until = self._well + within
            return self._changed.wait_for(
                lambda: self._present.fitness <= at_worst and self._present.looked >= asked,
                max(0.0, min(within, until - asked)),
            )

    def _look(self) -> None:
        """Look at the servers in order, until one is writable, and take the fittest."""
        for server in self._servers:
            server.note(*server.look())
            server.leave()
            if server.fitness == Fitness.WRITABLE:
                break
        self._present = min(self._servers, key=lambda server: server.fitness)

    def _watch(self, server: Server) -> None:
        while True:
            seen = server.look()
            with self._changed:
                server.note(*seen)
                self._decide()
                self._changed.notify_all()
                if not self._users:
                    self._watched = False
                    break
                self._changed.wait_for(lambda: self._asked > server.looked, PERIOD)
        server.leave()

    def _decide(self) -> None:
        """Move on where another server is fitter, or back to an earlier one that has been as fit for BACK seconds."""
        now, present = time.monotonic(), self._present
        if present.fitness == Fitness.WRITABLE:
            self._well = now
        earlier = self._servers[: self._servers.index(present)]
        better = [
            server
            for server in self._servers
            if server.fitness < present.fitness
            or (server in earlier and server.fitness == present.fitness < Fitness.AWAY and now - server.since >= BACK)
        ]
        if better and all(server.looked for server in self._servers):  # else a later one may only be seen before it
            self._move(min(better, key=lambda server: server.fitness))

    def _move(self, server: Server) -> None:
        former, self._present = self._present, server
        MOVED.add()
        log.warning(
            "The database is written to at %s now. %s", server.name, former.why if former.fitness else server.why
        )
        for user in list(self._users):
            try:
                user.moved(away=former.fitness == Fitness.AWAY)
            except Exception:
                log.exception("connections to %s could not be given up", former.name)


_primaries: dict[tuple[int, DatabaseUrl], Primary] = {}


def of(url: DatabaseUrl, log_in: Callable[..., Any]) -> Primary:
    """Return this process' Primary of a DATABASE_URL with several servers; a fork of it has one of its own.

    `log_in(server, connecting, answering)` returns a connection of PyMySQL; its times are in seconds.
    """
    key = os.getpid(), url
    return _primaries.get(key) or _primaries.setdefault(key, Primary(url, log_in))
