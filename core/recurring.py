"""What fails again and again, in the log: a line at once, then one each EVERY seconds with a count, and one at its end.

    recurring.failing(log, logging.ERROR, "The database %s is out of reach: %s", place, error)

counts by `key`: without one, by the log and by the message before its values are put in. It is over when it has not
happened for EVERY seconds. Who knows the end better says so, and until then it lasts, however quiet it is:

    recurring.failing(log, logging.ERROR, "…", key="database", until_over=True)
    recurring.over(log, "database", "The database %s answers again.", place)

Each process counts for itself. What it buys: a changed password gave a line for each request, hundreds a second;
now 6 a minute for each worker. A counted failure takes 4 µs, where a line takes 30; `over` 0.2 while nothing fails.
"""

import logging
import os
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from core import logs
from core.log_writer import start_unsignalled

EVERY = 10.0  # seconds between two lines
MOST = 200  # kinds of failures that are counted at once; of further ones each has its line


@dataclass
class _Failure:
    log: logging.Logger
    level: int
    until_over: bool
    text: str = ""  # of the latest, and the id of its request
    request_id: str | None = None
    count: int = 0  # since the last line
    total: int = 0
    began: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)  # when the last line was


class Recurring:
    """Counts failures; a thread writes the lines, while something fails. `every`: seconds between two lines."""

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self.forget()
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Begin anew, as if nothing failed."""
        self._lock = threading.Lock()
        self._failures: dict[Hashable, _Failure] = {}
        self._thread: threading.Thread | None = None

    def failing(
        self,
        log: logging.Logger,
        level: int,
        message: str,
        *values: Any,
        key: Hashable = None,
        until_over: bool = False,
        error: BaseException | None = None,
    ) -> None:
        """Log a failure, or count it where one of this key was logged.

        `error`: a bug, whose traceback follows the first line; another type, or from another line of code, is another.
        """
        key = key or (log.name, message, *(_place(error) if error else ()))
        text = message % values if values else message  # now: an error would keep alive whatever its frames hold
        with self._lock:
            failure = self._failures.get(key)
            if failure is None and len(self._failures) < MOST:
                known = self._failures[key] = _Failure(log, level, until_over)
            elif failure is not None:
                failure.count += 1
                known = failure
            else:
                known = _Failure(log, level, until_over)
            known.total += 1
            known.text, known.request_id = text, logs.current_request_id()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="recurring", daemon=True)
                start_unsignalled(self._thread)
        if failure is None:
            log.log(level, message, *values, exc_info=error)

    def over(self, log: logging.Logger, key: Hashable, message: str, *values: Any) -> None:
        """Log that a failure is over, with how often it happened; nothing where there was none of this key."""
        if not self._failures:  # the ordinary case, without the lock
            return
        with self._lock:
            failure = self._failures.pop(key, None)
        if failure:
            log.info(message, *values, extra=_counted(failure.total, failure.began))

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._failures:
                    self._thread = None
                    return
                wait = min(failure.said for failure in self._failures.values()) + self._every - time.monotonic()
            time.sleep(max(0.0, wait))
            with self._lock:
                due = [pair for pair in self._failures.items() if pair[1].said + self._every <= time.monotonic()]
                lines = [line for key, failure in due if (line := self._line(key, failure))]
            for log, level, text, extra in lines:
                log.log(level, text, extra=extra)

    def _line(self, key: Hashable, failure: _Failure) -> tuple[logging.Logger, int, str, dict[str, Any]] | None:
        """Return the line that is due for a failure: how often it happened, or that it is over."""
        if failure.count:
            extra = _counted(failure.count, failure.said)
            if failure.request_id:
                extra["request_id"] = failure.request_id  # of one of them
            failure.count, failure.said = 0, time.monotonic()
            return failure.log, failure.level, failure.text, extra
        failure.said = time.monotonic()
        if failure.until_over:
            return None
        del self._failures[key]
        if failure.total == 1:
            return None
        text = f"Not again for {self._every:g} seconds: {failure.text}"
        return failure.log, logging.INFO, text, _counted(failure.total, failure.began)


def _place(error: BaseException) -> tuple[Any, ...]:
    """Return what tells one bug from another: the type, and the line that raised."""
    inner = error.__traceback__
    while inner and inner.tb_next:
        inner = inner.tb_next
    return type(error), inner and (inner.tb_frame.f_code, inner.tb_lineno)


def _counted(count: int, since: float) -> dict[str, Any]:
    return {"count": count, "seconds": f"{time.monotonic() - since:.0f}"}


_process = Recurring()
failing, over, forget = _process.failing, _process.over, _process.forget
