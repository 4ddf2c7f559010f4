"""Which of several servers is written to: the first one in DATABASE_URL that may be.

Where DATABASE_URL names several servers, all shops write to one of them at a time. Each process chooses it by the same
rule from what the servers say, and so comes to the same one without being told by another process. With one server
nothing here runs. What it buys: a server that is killed fails no request but those whose COMMIT it had; one that falls
silent lets a request wait 1.5 s, where without it the shop was out until somebody changed DATABASE_URL. What it costs:
one connection of each process to each server, and with three servers 1.4 ms of processor a second in each process and
0.5 ms on each server (on a Galera node 1 ms); a request costs nothing more. To measure again: /proc/PID/stat around
20 s of Primary.watch.
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from core.database_url import DatabaseUrl
from core.db.fitness import Fitness, Look, Seen, name_of
from core.metrics import Counter

log = logging.getLogger("bodega.database")

PERIOD = 0.5  # seconds between two looks at a server
BACK = 8.0  # seconds that an earlier server must be well; a frozen Galera node takes 6 to see that it was put out

MOVED = Counter("bodega_database_moved_total", "Times that a process went on to another of several database servers.")


class NoServer(Exception):
    """None of the servers can be used: the error's number, where all have the same one, and what is wrong with each."""


class User(Protocol):
    """Who is told that another server is the one to write to."""

    def moved(self, away: bool) -> None:
        """Open new connections; with `away` the former server is silent, and who waits for it waits in vain."""


class Server:
    """One server of the list, and what was last seen of it."""

    def __init__(self, url: DatabaseUrl) -> None:
        self.url = url
        self.seen = Seen(0.0, Fitness.AWAY, f"{name_of(url)} has not been asked yet")
        self.since = 0.0  # when it was first seen to be as fit as now

    @property
    def fitness(self) -> Fitness:
        """Return what it is good for."""
        return self.seen.fitness

    def note(self, seen: Seen) -> None:
        """Take what a look has found."""
        if seen.fitness != self.fitness:
            self.since = seen.began
        self.seen = seen


class Primary:
    """The servers of one DATABASE_URL, and the one of them to write to.

    Without users it looks at them anew whenever it is asked, in order. With some (a core.db.database.Database each) a
    thread for each server watches it, as long as they live.
    """

    def __init__(self, url: DatabaseUrl, log_in: Callable[..., Any]) -> None:
        self._servers = [Server(one) for one in url.servers]
        self._log_in = log_in
        self._present = self._servers[0]
        self._changed = threading.Condition()
        self._users: weakref.WeakSet[User] = weakref.WeakSet()
        self._watch: object = None  # which threads watch, if any
        self._asked = 0.0  # when somebody last wanted to know at once
        self._well = time.monotonic()  # when there last was a server to write to

    def watch(self, user: User) -> None:
        """Watch the servers from now on, and tell `user` of each move."""
        with self._changed:
            self._users.add(user)
            if not self._watch:
                self._look()
                self._watch = object()
                for server in self._servers:
                    arguments = server, self._watch
                    threading.Thread(target=self._keep_looking, args=arguments, name="primary", daemon=True).start()

    def server(self) -> DatabaseUrl:
        """Return the server to connect to: the first that is writable, else the fittest. Raises NoServer."""
        with self._changed:
            if not self._watch:
                self._look()
            if self._present.fitness == Fitness.AWAY:
                seen = [server.seen for server in self._servers]
                codes = {one.code for one in seen}
                raise NoServer(codes.pop() if len(codes) == 1 else None, "; ".join(one.why for one in seen))
            return self._present.url

    def is_known_again(self, within: float, at_worst: Fitness = Fitness.WRITABLE) -> bool:
        """Have all servers looked at anew; return whether one is then known to be as good as that.

        It waits for that up to `within` seconds, counted from when there last was a server to write to: in a longer
        outage nobody waits.
        """
        with self._changed:
            if not self._watch:
                self._look()
                return self._present.fitness <= at_worst
            self._asked = asked = time.monotonic()
            self._changed.notify_all()
            return self._changed.wait_for(
                lambda: self._present.fitness <= at_worst and self._present.seen.began >= asked,
                max(0.0, min(within, self._well + within - asked)),
            )

    def _look(self) -> None:
        """Look at the servers in order, until one is writable, and take the fittest."""
        for server in self._servers:
            look = Look(server.url, self._log_in)
            server.note(look.see())
            look.leave()
            if server.fitness == Fitness.WRITABLE:
                break
        self._present = min(self._servers, key=lambda server: server.fitness)

    def _keep_looking(self, server: Server, watch: object) -> None:
        """Look at a server until nobody uses what is seen, or other threads watch in place of these."""
        look = Look(server.url, self._log_in)
        while True:
            seen = look.see()
            with self._changed:
                if not self._users and self._watch is watch:
                    self._watch = None
                if self._watch is not watch:
                    break
                server.note(seen)
                self._decide()
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._asked > server.seen.began, PERIOD)
        look.leave()

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
        if better and all(server.seen.began for server in self._servers):  # else a later one may only be seen first
            self._move(min(better, key=lambda server: server.fitness))

    def _move(self, server: Server) -> None:
        former, self._present = self._present, server
        MOVED.add()
        why = (former if former.fitness else server).seen.why
        log.warning("The database is written to at %s now. %s", name_of(server.url), why)
        for user in list(self._users):
            try:
                user.moved(away=former.fitness == Fitness.AWAY)
            except Exception:
                log.exception("connections to %s could not be given up", name_of(former.url))


_primaries: dict[tuple[int, DatabaseUrl], Primary] = {}


def of(url: DatabaseUrl, log_in: Callable[..., Any]) -> Primary:
    """Return this process' Primary of a DATABASE_URL with several servers; a fork of it has one of its own.

    `log_in(server, connecting, answering)` returns a connection of PyMySQL; its times are in seconds.
    """
    key = os.getpid(), url
    return _primaries.get(key) or _primaries.setdefault(key, Primary(url, log_in))
