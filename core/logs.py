"""The log: one line an event, `key=value` pairs (logfmt), to standard error.

    time=2026-01-31T12:00:00Z level=info event=request method=GET path=/api/products status=200 ms=1.9 request_id=…

A value with other than plain characters is written as a JSON string, so that CR and LF cannot forge a line. A long
value is cut and ends in "…".
"""

import functools
import json
import logging
import os
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

from bottle import request

ACCESS = logging.getLogger("bodega.access")
_writer: "Writer | None" = None  # of this process
PLAIN = re.compile(r"[\w./:<>@+,%~…-]+\Z")
KEYS = ("event", "outcome", "method", "path", "status", "ms", "user_id", "by", "role", "address", "request_id")
LONGEST = 500  # characters of a value, which a client may have sent; so a line fits into one write to a pipe
LONGEST_MESSAGE = 4000  # characters of a message, and of a line of a traceback


class Logfmt(logging.Formatter):
    """Formats a record as logfmt; `extra` may have the keys of KEYS."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback follows on lines of its own."""
        pairs = [(key, getattr(record, key)) for key in KEYS if hasattr(record, key)]
        if not any(key == "request_id" for key, _ in pairs) and (id := _current_request_id()):
            pairs.append(("request_id", id))
        line = _line(record.created, record.levelname.lower(), pairs, record.getMessage())
        if record.exc_info:  # indented, so that no part of it looks like a line of the log
            for part in self.formatException(record.exc_info).replace("\r", "\\r").split("\n"):
                line += "\n    " + part[:LONGEST_MESSAGE] + "…" * (len(part) > LONGEST_MESSAGE)
        return line


class Writer(logging.Handler):
    """Queues lines; a thread writes them to a file descriptor, so that no request waits for the reader of the log.

    When more than ROOM characters wait, further lines are dropped; a line says how many as soon as there is room. A
    forked process starts with an empty queue; the first line starts the thread. Call `logging.shutdown()` before
    `os._exit`.
    """

    ROOM = 1 << 20  # characters
    INTERVAL = 0.02  # seconds between two writes: waking the thread for each line would cost a fifth of the throughput
    FLUSH_TIMEOUT = 1  # seconds

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()  # for `_lines` and the numbers; logging locks `lock` while it flushes
        self._lines: list[str] = []
        self._size = self._dropped = 0
        self._pending = threading.Event()  # there are lines that are not written yet
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        self.put(self.format(record))

    def put(self, line: str) -> None:
        """Queue a line, or count it as dropped."""
        with self._lock:
            if self._size > self.ROOM:
                self._dropped += 1 + line.count("\n")
                return
            self._lines.append(line)
            self._size += len(line)
            if not self._pending.is_set():
                self._wake()

    def flush(self) -> None:
        """Wait until all lines are written, for FLUSH_TIMEOUT seconds at most."""
        deadline = time.monotonic() + self.FLUSH_TIMEOUT
        while self._pending.is_set() and time.monotonic() < deadline:
            time.sleep(0.005)

    def _wake(self) -> None:
        self._pending.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # the main thread gets them
            self._thread.start()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _run(self) -> None:
        while self._pending.wait():
            time.sleep(self.INTERVAL)
            with self._lock:
                lines, self._lines, self._size = self._lines, [], 0
                dropped, self._dropped = self._dropped, 0
            dropped += self._write(lines)
            if dropped:
                notice = (
                    f"{dropped} line(s) of the log were dropped before this one: they could not be written in time."
                )
                dropped *= self._write([_line(time.time(), "warning", (), notice)])
            with self._lock:
                self._dropped += dropped
                if not self._lines:
                    self._pending.clear()

    def _write(self, lines: list[str]) -> int:
        """Write lines; return how many failed. Up to PIPE_BUF bytes of one write stay together in a pipe (POSIX)."""
        pieces = [b""]
        for line in lines:
            data = (line + "\n").encode(errors="backslashreplace")
            if len(pieces[-1]) + len(data) > select.PIPE_BUF:
                pieces.append(b"")
            pieces[-1] += data
        return sum(piece.count(b"\n") for piece in pieces if not self._written(piece))

    def _written(self, piece: bytes) -> bool:
        while piece:
            try:
                piece = piece[os.write(self._descriptor, piece) :]
            except BlockingIOError:  # the descriptor was given to us as non-blocking
                time.sleep(self.INTERVAL)
            except OSError:
                return False
        return True


def access(
    event: str,
    request_id: str,
    status: str,
    *,
    method: str | None = None,
    path: str = "-",
    seconds: float | None = None,
    **who: Any,
) -> None:
    """Log one answered request as Logfmt would, in a fifth of the time that a LogRecord takes.

    `method` and `seconds` (the duration) are None where they are unknown. `who`: user_id, address.
    """
    if not ACCESS.isEnabledFor(logging.INFO):
        return
    pairs: dict[str, Any] = {"event": event}
    if method:
        pairs["method"] = method
    pairs |= {"path": path, "status": status}
    if seconds is not None:
        pairs["ms"] = f"{seconds * 1000:.1f}"
    pairs |= {**who, "request_id": request_id}
    if _writer is None or logging.root.handlers != [_writer]:  # there are other handlers
        ACCESS.info("", extra=pairs)
        return
    _writer.put(_line(time.time(), "info", pairs.items()))


def _current_request_id() -> str | None:
    """Return the id of the request that this thread serves, or None."""
    try:
        return request.environ.get("bodega.request_id")
    except (AttributeError, RuntimeError):  # no request in this thread
        return None


def _line(when: float, level: str, pairs: Iterable[tuple[str, Any]], message: str = "") -> str:
    fields = [f"{key}={_quoted(str(value))}" for key, value in pairs]
    if message:
        fields.insert(0, f"message={_quoted(message, LONGEST_MESSAGE)}")
    return f"time={_time(int(when))} level={level} {' '.join(fields)}"


@functools.lru_cache(2)
def _time(when: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def _quoted(text: str, most: int = LONGEST) -> str:
    text, end = (text, "") if len(text) <= most else (text[: most - 1], "…")
    return text + end if PLAIN.match(text) else json.dumps(text)[:-1] + end + '"'


def configure(level: str) -> None:
    """Send the log of this process to standard error, from this level on ("debug" … "error")."""
    global _writer  # noqa: PLW0603 - one for the process, like the root of logging
    if _writer is None:
        _writer = Writer(sys.__stderr__.fileno() if sys.__stderr__ else os.open(os.devnull, os.O_WRONLY))
        _writer.setFormatter(Logfmt())
    logging.root.handlers[:] = [_writer]
    logging.root.setLevel(level.upper())
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it has a line for each queued request
