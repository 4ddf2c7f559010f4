"""What the processes of a server count about themselves, for GET /metrics and `server.py top`.

A metric is declared once, at the top of the page that counts by it, with what it means and the names of its labels;
values of labels are given in that order:

    PLACED = Counter("bodega_orders_placed_total", "Orders that were placed.")
    REFUSED = Counter("bodega_logins_refused_total", "Logins that were refused.", "reason")
    IN_USE = Gauge("db_client_connection_count", "Connections to the database.", "state")
    QUEUED = Histogram("bodega_queue_duration_seconds", "Time that requests waited for a thread.")

    REFUSED.add("password")        # or .add("password", amount=3)
    IN_USE.set(5, "used")          # a whole number from 0 on; None: there is none
    WAITING.set(5, lasts=60)       # gone after 60 seconds, unless it is set again
    QUEUED.observe(0.0021)         # seconds

**Values of labels come from small fixed sets**: the rule of a route, a status, the name of a SQL file. Never what a
client has sent, an id or an address. What a handler counts must be stored when it is counted: it may run again or be
rolled back, so it says `db.count(PLACED)`, and that happens after COMMIT (core/db/session.py).

Counters are those of all processes, and do not decrease when one ends; a gauge is the sum over those that live. In a
process without a server (a command, most tests) all of this counts nothing.

To count takes no lock. `words[place] += n` is one step for other threads: Python lets them run where something is
called or a loop goes round, and within it nothing is. So what must be called for it, `int` say, is called before; the
tests would tell (tests/core/test_metrics.py). What counting costs: docs/performance.md, by tests/load/counting.py.
"""

import logging
import os
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import ClassVar

from core.metrics_file import SCRATCH, File, Table

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)  # OpenTelemetry's, for requests

log = logging.getLogger("bodega.metrics")

ALL: "dict[str, Metric]" = {}  # the metrics by their names


class Here:
    """This process' part."""

    file: File | None = None

    def __init__(self) -> None:
        self.begin()
        os.register_at_fork(after_in_child=self.begin)

    def begin(self) -> None:
        """Count anew, in a table of its own: for a process that was just forked."""
        self.lock = threading.Lock()  # of its threads, for giving a name its place
        self.table: Table | None = None  # it gets one when it first counts
        self.words = memoryview(bytearray(8 * SCRATCH)).cast("q")  # the records of the table
        self.told = False  # that the table is full
        for metric in ALL.values():
            metric.places.clear()

    def claimed(self) -> Table | None:
        """Return the table; None where nothing is counted. Call it with the lock."""
        if self.table is None and self.file:
            self.table = self.file.claim()
            self.words = self.table.records
        return self.table


here = Here()


class Places(dict[tuple[str, ...], int]):
    """Where the records of a metric begin, by the values of its labels."""

    def __init__(self, metric: "Metric") -> None:
        super().__init__()
        self._metric = metric

    def __missing__(self, values: tuple[str, ...]) -> int:
        return self._metric.place(values)


class Metric:
    """What is counted under one name. `size`: the words of a record."""

    kind: ClassVar[str]

    def __init__(self, name: str, help: str, *labels: str, size: int = 1) -> None:
        if name in ALL:
            raise ValueError(f"{name} is declared twice")
        self.name = name
        self.help = help
        self.labels = labels
        self.size = size
        self.places = Places(self)
        ALL[name] = self

    def place(self, values: tuple[str, ...]) -> int:
        """Return where the record for these values of the labels begins; where nobody looks if there is no room."""
        if len(values) != len(self.labels):
            raise TypeError(f"{self.name} has the labels {self.labels}; it was counted with {values}")
        with here.lock:
            table = here.claimed()
            if table is None:
                return 0
            place = table.place(self.kind, self.size, self.name, values)
            if place is None:
                if not here.told:
                    log.warning("There are too many metrics: %s%s and further ones are not counted.", self.name, values)
                    here.told = True
                return 0
            self.places[values] = place
        return place


class Counter(Metric):
    """A number that grows."""

    kind = "counter"

    def add(self, *values: str, amount: int = 1) -> None:
        """Count `amount` (0 or more) more under these values of the labels."""
        place = self.places[values]
        here.words[place] += amount


class Gauge(Metric):
    """A number that stands for how things are; it is gone when its process is. A record: it and 1 more, and until when.

    With 0 there is none; until 0 is for ever.
    """

    kind = "gauge"

    def __init__(self, name: str, help: str, *labels: str) -> None:
        super().__init__(name, help, *labels, size=2)

    def set(self, number: int | None, *values: str, lasts: float | None = None) -> None:
        """Say that it is this whole number, from 0 on, or that there is none; for so many seconds, or for ever."""
        place = self.places[values]
        until = 0 if lasts is None else time.monotonic_ns() + int(lasts * 1e9)
        here.words[place] = 0 if number is None else number + 1
        here.words[place + 1] = until

    def add(self, *values: str, amount: int = 1) -> None:
        """Change it by `amount`, which may be below 0. It is 0 at first; not for one that is set to None, too."""
        place = self.places[values]
        here.words[place] += amount

    def place(self, values: tuple[str, ...]) -> int:
        """Return where the record begins, in which there is a number now."""
        place = super().place(values)
        words = here.words
        if not words[place]:
            words[place] = 1
        return place


class Histogram(Metric):
    """Times, by classes: at most each of `bounds` seconds, or more. A record: nanoseconds, and the classes."""

    kind = "histogram"

    def __init__(self, name: str, help: str, *labels: str, bounds: Sequence[float] = SECONDS) -> None:
        super().__init__(name, help, *labels, size=len(bounds) + 2)
        self.bounds = bounds

    def observe(self, seconds: float, *values: str) -> None:
        """Count one that took so long."""
        place = self.places[values]
        words, spent, its_class = here.words, int(seconds * 1e9), place + 1 + bisect_left(self.bounds, seconds)
        words[place] += spent
        words[its_class] += 1

    def bound(self, *values: str) -> Callable[[int], None]:
        """Return what observes nanoseconds under these values of the labels, in this process, in half the time."""
        place = self.places[values]
        words, bounds, first, least = here.words, self.bounds, place + 1, int(self.bounds[0] * 1e9)

        def observe(spent: int) -> None:
            its_class = first if spent <= least else first + bisect_left(bounds, spent / 1e9)
            words[place] += spent
            words[its_class] += 1

        return observe


def use(file: File | None) -> None:
    """Let this process and those that it forks count in this file; with None, nowhere."""
    here.file = file
    here.begin()


def be(role: str) -> None:
    """Say what this process is, before it counts: one of metrics_file.ROLES."""
    with here.lock:
        if table := here.claimed():
            table.be(role)
