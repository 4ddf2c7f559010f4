"""A circuit breaker: while the database is out of reach, requests hear that at once, instead of each waiting in vain.

What it buys, with a database that is frozen for 8 seconds: a request that needs it takes 2.0 s throughout without it;
with it 2.3 s at first, and then 1 ms. While it is closed it costs the reading of one attribute for each transaction. To
measure again: `pytest -m faults -s tests/faults/test_database_frozen.py`.

Each process has one, for all of its threads.
"""

import logging
import math
import threading
import time
from collections.abc import Callable

from core.database_url import DatabaseUrl
from core.db.drivers import DatabaseError, log_in, number
from core.db.mysql_errors import SILENT
from core.metrics import Counter, Gauge

OPENED = Counter("bodega_breaker_opened_total", "Times that a process has found the database out of reach.")
OPEN = Gauge("bodega_breaker_open", "Processes that hold the database to be out of reach.")
QUICK = 0.3  # seconds for each answer to the probe that decides whether to open
CONNECT = 0.5  # seconds to connect, for the probes that may close it: a new SYN each time
GREETING = 0.6  # seconds for each answer to these probes; a tenth of the outage, where that is more
PAUSE = 0.2  # seconds between two of them


class Breaker:
    """Whether the database is out of reach: then `is_open`, and nobody need try.

    It opens where a statement or a login got no answer, and a probe (a login on a connection of its own) gets none
    either. So one slow statement opens nothing, nor does a connection that is killed, nor what the server refuses: too
    many connections, say, or a changed password, with which the connections that are there go on working.

    While it is open, one thread probes. Whatever the server says closes it. The longer the outage, the longer a probe
    waits, in the end as long as a request would: a database that is slow only is found, too.

    `timeout`: seconds that a request waits for an answer. `changed(is_open)` is called with each change.
    """

    def __init__(
        self, url: DatabaseUrl, timeout: float, changed: Callable[[bool], None], report: Callable[..., None]
    ) -> None:
        self.is_open = False
        self._url = url
        self._timeout = timeout
        self._changed = changed
        self._report = report
        self._lock = threading.Lock()
        self._answered = -math.inf  # when a probe was answered
        self._since = 0.0  # when it opened

    def trip(self, error: Exception) -> bool:
        """Open if the database, after this DatabaseError, is found to be out of reach; return whether it is open."""
        failed = time.monotonic()
        if number(error) not in SILENT:
            return False
        with self._lock:  # one probe for all threads whose statements fail together
            if not self.is_open and self._answered < failed and not self._probe(QUICK, QUICK):
                self._since = time.monotonic()
                threading.Thread(target=self._watch, name="breaker", daemon=True).start()
                self.is_open = True
                self._changed(True)
                OPENED.add()
                OPEN.set(1)
                what = "The database %s is out of reach, and is left alone until it answers: %s"
                self._report(logging.ERROR, what, self._url.place, error)
            return self.is_open

    def _watch(self) -> None:
        """Probe until there is an answer; then close."""
        try:
            while not self._probe(CONNECT, max(GREETING, (time.monotonic() - self._since) / 10)):
                time.sleep(PAUSE)
        finally:  # whatever happens here, it does not stay open for ever
            with self._lock:
                self.is_open = False
                self._changed(False)
                OPEN.set(0)
                spent = time.monotonic() - self._since
                self._report(logging.WARNING, "The database %s answers again, after %.1f s.", self._url.place, spent)

    def _probe(self, connecting: float, answering: float) -> bool:
        """Return whether the database says anything: its word of welcome, or why it refuses. Times are in seconds."""
        try:
            log_in(self._url, connecting, min(self._timeout, answering))
        except DatabaseError as error:
            if number(error) in SILENT:
                return False
        self._answered = time.monotonic()
        return True
