"""The chores: what the shop does by itself, beside answering: delivering, expiring, purging.

One process of a host does them, which the supervisor forks beside the workers, or `server.py chores`. Of several hosts
one works, by a lock of the database; another takes over within PAUSE seconds of its end. A chore must be sound where
two hosts do it at once all the same: it claims in the database what it works on.
"""

import dataclasses
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence

from core import metrics, recurring
from core.db.database import Database
from core.db.host_lock import HostLock
from core.db.readiness import Readiness
from core.errors import ApiError
from core.logs import CHORE

PAUSE = 1.0  # seconds between two looks at the lock
DRAIN = 5  # seconds that chores have to finish when the process ends
LONGEST_PAUSE = 30  # seconds after a chore has failed again and again
SHARE = 0.1  # of its time that a chore works at the most while it finds nothing to do

log = logging.getLogger("bodega.chores")


@dataclasses.dataclass(frozen=True, eq=False)
class Chore:
    """Something that is done again and again.

    `run(database)` does a part of it, of a few seconds at the most, and returns whether there is more to do now; if
    not, it is called again after `every` seconds. `finish(database)` is called when the process ends.
    """

    name: str
    run: Callable[[Database], bool]
    every: float
    finish: Callable[[Database], None] = lambda database: None


class Chores:
    """Runs chores in lanes: each lane is a thread with a connection to the database, and does one chore at a time.

    So a provider that does not answer holds up no mail. The lock has one more connection: config.CHORES_CONNECTIONS.
    """

    def __init__(self, database: Database, readiness: Readiness, *lanes: Sequence[Chore]) -> None:
        self._database = database
        self._readiness = readiness
        self._lanes = lanes
        self._lock = HostLock(database.url, database.timeout, "bodega.chores")
        self._working = threading.Event()  # whether this host does them
        self._stop = threading.Event()

    def run(self, lifeline: int | None = None, look: Callable[[], None] = lambda: None) -> None:
        """Do them until SIGTERM or SIGINT, or until the other end of the pipe `lifeline` closes.

        `look()` is called about once a second.
        """
        metrics.be("chores")
        signalled = _signals(signal.SIGTERM, signal.SIGINT)
        threads = [threading.Thread(target=self._do, args=[lane], daemon=True) for lane in self._lanes]
        for thread in threads:
            thread.start()
        ends = [signalled] if lifeline is None else [signalled, lifeline]
        self._look()
        while not select.select(ends, [], [], PAUSE)[0]:
            self._look()
            look()
        self._stop.set()
        deadline = time.monotonic() + DRAIN
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._lock.release()

    def _look(self) -> None:
        """Find out whether this host does the chores now."""
        was_working = self._working.is_set()
        if self._readiness.look() and self._lock.hold():
            self._working.set()
        else:
            self._working.clear()
        if self._working.is_set() != was_working:
            log.info("This host does the chores now." if not was_working else "This host does no chores any more.")

    def _do(self, lane: Sequence[Chore]) -> None:
        """Do the chores of a lane, each when it is due, the one that has waited longest first."""
        due = dict.fromkeys(lane, 0.0)
        failures = dict.fromkeys(lane, 0)
        while not self._stop.is_set():
            chore = min(due, key=lambda chore: due[chore])
            began = time.monotonic()
            if not self._working.is_set() or due[chore] > began:
                self._stop.wait(max(0.05, min(PAUSE, due[chore] - began)))
                continue
            CHORE.set(chore.name)
            try:
                more = chore.run(self._database)
            except Exception as error:
                failures[chore] += 1
                pause = min(LONGEST_PAUSE, 2.0 ** (failures[chore] - 1))
                _report(chore, error)
            else:
                failures[chore] = 0
                spent = time.monotonic() - began
                pause = 0 if more else max(chore.every, spent / SHARE - spent)
            due[chore] = time.monotonic() + pause
        for chore in lane:
            CHORE.set(chore.name)
            try:
                chore.finish(self._database)
            except Exception as error:
                _report(chore, error)


def _report(chore: Chore, error: Exception) -> None:
    if isinstance(error, ApiError):  # the database has said why
        recurring.failing(log, logging.WARNING, "%s could not go on: %s", chore.name, error.message)
    else:
        recurring.failing(log, logging.ERROR, "%s broke", chore.name, error=error)


def _signals(*numbers: signal.Signals) -> int:
    """Return a pipe that can be read when one of these signals has come, unless it is ignored."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in numbers:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    return reading
