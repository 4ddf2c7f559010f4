"""Measures the statements that a server runs: counts them for `server.py top`, and logs the slow ones.

What that and the comment in front of each statement cost: 1.7 µs of CPU for the first statement of a request, 1 µs for
each one more, of the 90 to 300 µs that the shop itself takes for a request that asks the database; as much as the
driver's own cursor in database.py saves. To measure again: the least of many rounds of `Database.transaction` with a
cursor that does nothing, with `meter` and without.
"""

import logging
import math
from typing import NamedTuple, Protocol

from core import logs
from core.db.drivers import number
from core.db.statement_times import TIMES

log = logging.getLogger("bodega.sql")

TIMINGS = "bodega.timings"  # in the environ, see Noting


class Measured(Protocol):
    """What has a name and a file: a Statement."""

    @property
    def name(self) -> str:
        """Return the name, as in products/list_price."""

    @property
    def path(self) -> str:
        """Return the file, as in sql/products/list_price.sql."""


class _Commit(NamedTuple):
    name: str = "COMMIT"
    path: str = "COMMIT"


COMMIT: Measured = _Commit()  # it has no file, and often takes longer than what it commits


class Meter:
    """Gets every run of a statement from Session. `slow`: seconds from which it is a line in the log; 0: never.

    A time is what the program waits: with the round trip, with making dicts of the rows, and with the turn that a
    thread of a busy worker waits for.
    """

    def __init__(self, slow: float) -> None:
        self._slow = slow * 1e9 or math.inf

    def __call__(self, statement: Measured, spent: int, rows: int, error: Exception | None = None) -> None:
        """Count a run, of `spent` nanoseconds; `rows`: that it returned or changed; `error`: by which it failed."""
        TIMES.add(statement.name, spent, rows, error is not None)
        if spent >= self._slow:
            about = {"event": "slow_sql", "file": statement.path, "ms": f"{spent / 1e6:.1f}", "rows": rows}
            if error:
                about["error"] = number(error)
            log.warning("", extra=about | logs.current_route())


class Noting(Meter):
    """A Meter that also notes each run in the environ of its request, for Server-Timing: {name: (runs, ns)}."""

    def __call__(self, statement: Measured, spent: int, rows: int, error: Exception | None = None) -> None:
        """Count a run, and note it."""
        super().__call__(statement, spent, rows, error)
        if (serving := logs.SERVING.get()) is not None:
            timings = serving.setdefault(TIMINGS, {})
            runs, before = timings.get(statement.name, (0, 0))
            timings[statement.name] = runs + 1, before + spent
