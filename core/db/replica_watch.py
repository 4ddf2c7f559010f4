"""What is known of the replica: up to which moment it has all that was stored on the primary.

The processes of this host write the moment at which they do it, the *beat*, into a row of their own on the primary, and
look which beat the replica has. A replica shows transactions in the order in which the primary stored them: one that
shows a beat has all that was stored before that moment. The moment is of this host's monotonic clock, and only this
host's processes read its row, so the clocks of two machines are never compared. That holds behind a Galera cluster too,
whichever node a beat was written to: what a node has confirmed comes before all that is sent to any node later.

It costs the primary one small write a second for each host, by whichever process finds it due. While readers wait for
what this host has just changed, beats are SOON apart: some 50 ms after a change the replica is read again, and
`python3 server.py test tests/core/db/test_replica.py -s -k measured` prints it.
"""

import dataclasses
import logging
import mmap
import random
import secrets
import threading
import time
import weakref
from typing import Any

from core import recurring
from core.database_url import DatabaseUrl
from core.db.drivers import connect, hang_up
from core.db.measuring import Meter
from core.db.session import Session
from core.db.statements import Statements
from core.log_writer import start_unsignalled
from core.metrics import Gauge

FRESH = 5_000_000_000  # nanoseconds: a replica that is further behind is not read
BEAT = 1_000_000_000  # nanoseconds between two beats
SOON = 50_000_000  # the same, while readers wait for one
LOOK = 0.4  # seconds between two looks at the replica
PAUSE = 0.01  # the same, while readers wait
ANSWER = 1.0  # seconds that a replica may take to connect, and to say which beat it has

IN_USE = Gauge("bodega_replica_in_use", "Processes that may read from their replica.")

log = logging.getLogger("bodega.database")


class Behind(Exception):
    """The replica lacks too much."""


class Beats:
    """When a host has written its beats, in memory that all its forked processes share; made before they are."""

    def __init__(self) -> None:
        self.id = secrets.randbits(63)  # of the row
        self._memory = mmap.mmap(-1, 16)
        self._moments = memoryview(self._memory).cast("Q")

    def is_due(self, pause: int) -> bool:
        """Whether the last beat began so many nanoseconds ago; then the next one begins. Two at once do no harm."""
        now = time.monotonic_ns()
        if now - self._moments[0] < pause:
            return False
        self._moments[0] = now
        return True

    @property
    def stored(self) -> int:
        """The last beat that the primary has confirmed; 0 for none."""
        return self._moments[1]

    def confirm(self, beat: int) -> None:
        """Note that the primary has confirmed this one."""
        self._moments[1] = beat


@dataclasses.dataclass(eq=False)
class Server:
    """A replica as the watching thread has found it: no other server, and no later one at the same address."""

    url: DatabaseUrl
    name: str  # what it says of itself
    until: int = 0  # it has all that was stored before this moment, see Watch
    found: int = dataclasses.field(default_factory=time.monotonic_ns)
    sockets: Any = dataclasses.field(default_factory=weakref.WeakKeyDictionary)  # of threads' connections to it

    @property
    def is_fresh(self) -> bool:
        """Whether it may be read from at all."""
        return time.monotonic_ns() - self.until < FRESH


class Watch:
    """Keeps `server` up to date: the replica that may be read from, or None.

    `url`: of one replica, or of several, of which each process uses one that is well. `beat`, `get`: the
    statements that write a beat, and read it.
    """

    def __init__(
        self,
        url: DatabaseUrl,
        primary: DatabaseUrl,
        timeout: float,
        statements: Statements,
        *,
        meter: Meter | None,
        beat: str,
        get: str,
    ) -> None:
        self.server: Server | None = None
        self.wanted = threading.Event()  # a reader waits for the replica to have what was stored until now
        self.beats = Beats()
        self._beat, self._get = beat, get
        self._servers = list(url.servers)
        self._primary_url = primary
        self._timeout = timeout
        self._statements = statements
        self._meter = meter
        self._primary: Any = None  # connections
        self._replica: Any = None
        self._seen: Server | None = None  # what `server` is while it has all that it must have
        self._lock = threading.Lock()
        self._over = False
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start the thread, unless it runs. To be called in the process that reads, not in the one that forks it."""
        with self._lock:
            if self._thread is None:
                random.shuffle(self._servers)  # each process has an order of its own: so they share them out
                self._thread = threading.Thread(target=self._run, name="replica", daemon=True)
                start_unsignalled(self._thread)

    def end(self) -> None:
        """End the thread; for a process that goes on without this shop."""
        self._over = True
        self.wanted.set()
        if self._thread:
            self._thread.join()

    def session(self, connection: Any) -> Session:
        """Return what runs statements on one of these connections."""
        return Session(connection.cursor(), self._statements, meter=self._meter)

    def look(self, connection: Any) -> tuple[str, int]:
        """Return the name of the server behind a connection, and the beat that it has; 0 for none."""
        row = self.session(connection).one(self._get, id=self.beats.id)
        return row["server"], row["beat"] or 0

    def _run(self) -> None:
        while not self._over:
            hurry = self.wanted.wait(LOOK)
            self.wanted.clear()
            if self.beats.is_due(SOON if hurry else BEAT):
                self._write()
            self._read()
            if hurry:
                time.sleep(PAUSE)

    def _write(self) -> None:
        try:
            if self._primary is None:
                self._primary = connect(self._primary_url, self._timeout, scripts=True)
            moment = time.monotonic_ns()  # before it is sent
            session = self.session(self._primary)
            session.run(self._beat, id=self.beats.id, beat=moment)
            session.commit()
            self.beats.confirm(moment)
        except Exception as error:  # whatever it is, the thread goes on
            recurring.failing(log, logging.WARNING, "What the replica has cannot be told: %s", error)
            close(self._primary)
            self._primary = None

    def _read(self) -> None:
        place = self._servers[0]
        key = "replica", place.place
        try:
            if self._replica is None:
                self._replica = connect(place, ANSWER, scripts=True)
                self._seen = None
            name, beat = self.look(self._replica)
            if self._seen is None or self._seen.name != name:
                self._seen = Server(place, name)
            seen = self._seen
            seen.until = max(seen.until, beat)
            if not seen.is_fresh and self.beats.stored - max(seen.until, seen.found) > FRESH:
                raise Behind(f"it is more than {FRESH // 10**9} seconds behind")
            if seen.is_fresh:
                recurring.over(log, key, "The replica %s is read from again.", place.place)
            self.server = seen if seen.is_fresh else None
        except Exception as error:  # as above
            what = "The replica %s is not read from, the primary is: %s"
            recurring.failing(log, logging.WARNING, what, place.place, error, key=key, until_over=True)
            self._leave()
        IN_USE.set(int(self.server is not None))

    def _leave(self) -> None:
        """Go on with the next server; who waits for an answer of this one hears that it is lost."""
        self.server, former = None, self._seen
        close(self._replica)
        self._replica = self._seen = None
        self._servers.append(self._servers.pop(0))
        for end in list(former.sockets.values()) if former else ():
            hang_up(end)


def close(connection: Any) -> None:
    """Close a connection, if there is one."""
    try:
        if connection is not None:
            connection.close()
    except Exception as error:  # it may be closed already
        log.debug("a connection could not be closed: %s", error)
