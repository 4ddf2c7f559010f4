"""The log: one line an event, `key=value` pairs (logfmt), to standard error.

    time=2026-01-31T12:00:00Z level=info event=request method=GET path=/api/products status=200 ms=1.9 request_id=…

A value with anything but plain characters is written as JSON text, so that CR and LF cannot forge a line; a long one
is cut, and ends in "…".
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

from bottle import request

ACCESS = logging.getLogger("bodega.access")
_writer = None  # where the lines go
PLAIN = re.compile(r"[\w./:<>@+,%~…-]+\Z")
OURS = ("event", "outcome", "method", "path", "status", "ms", "user_id", "by", "role", "address", "request_id")
LONGEST = 500  # characters of a value: a client may have sent it; and a line fits into one piece of a pipe
LONGEST_MESSAGE = 4000  # characters; of a line of a traceback, too


class Logfmt(logging.Formatter):
    """Formats a record as logfmt; `extra` may hold the keys of OURS."""

    def format(self, record):
        """Return the line; a traceback follows on lines of its own."""
        pairs = [(key, getattr(record, key)) for key in OURS if hasattr(record, key)]
        if not any(key == "request_id" for key, _ in pairs) and (known := _current_request_id()):
            pairs.append(("request_id", known))
        line = _line(record.created, record.levelname.lower(), pairs, record.getMessage())
        if record.exc_info:  # indented, so that nothing in it can pass for a line of its own
            for told in self.formatException(record.exc_info).replace("\r", "\\r").split("\n"):
                line += "\n    " + told[:LONGEST_MESSAGE] + "…" * (len(told) > LONGEST_MESSAGE)
        return line


class Writer(logging.Handler):
    """Takes lines at once; a thread of its own writes them, so that nobody waits for who reads the log.

    Where more than ROOM wait, further ones are dropped; a line says how many as soon as lines are taken again. A forked
    process begins with no lines; the thread begins with the first. Who ends by `os._exit` calls `logging.shutdown()`.
    """

    ROOM = 1 << 20  # characters
    GATHERING = 0.02  # seconds in which lines come together: a thread woken for each would cost a fifth of the answers
    FLUSH_TIMEOUT = 1  # seconds that the end of the process waits until all is written

    def __init__(self, place):
        super().__init__()
        self._place = place  # a file descriptor
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self):
        self._lock = threading.Lock()  # for `_lines` and the numbers; logging holds `lock` while it flushes
        self._lines = []
        self._size = self._dropped = 0
        self._called = threading.Event()  # there are lines that are not written yet
        self._thread = None

    def emit(self, record):
        """Take a record."""
        self.put(self.format(record))

    def put(self, line):
        """Take a line, or count it as dropped."""
        with self._lock:
            if self._size > self.ROOM:
                self._dropped += 1 + line.count("\n")
                return
            self._lines.append(line)
            self._size += len(line)
            if not self._called.is_set():
                self._call()

    def flush(self):
        """Wait until all is written, for FLUSH_TIMEOUT seconds at the most."""
        deadline = time.monotonic() + self.FLUSH_TIMEOUT
        while self._called.is_set() and time.monotonic() < deadline:
            time.sleep(0.005)

    def _call(self):
        self._called.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_on, name="log", daemon=True)
            before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # those are the main thread's
            self._thread.start()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _write_on(self):
        while self._called.wait():
            time.sleep(self.GATHERING)
            with self._lock:
                lines, self._lines, self._size = self._lines, [], 0
                dropped, self._dropped = self._dropped, 0
            dropped += self._sent(lines)
            if dropped:
                said = (
                    f"{dropped} line(s) of the log were dropped before this one: nobody took them, or it had no room."
                )
                dropped *= self._sent([_line(time.time(), "warning", (), said)])
            with self._lock:
                self._dropped += dropped
                if not self._lines:
                    self._called.clear()

    def _sent(self, lines):
        """Write lines; return how many could not be. What a pipe takes in one piece no other worker can break up."""
        pieces = [b""]
        for line in lines:
            data = (line + "\n").encode(errors="backslashreplace")
            if len(pieces[-1]) + len(data) > select.PIPE_BUF:
                pieces.append(b"")
            pieces[-1] += data
        return sum(piece.count(b"\n") for piece in pieces if not self._is_sent(piece))

    def _is_sent(self, piece):
        while piece:
            try:
                piece = piece[os.write(self._place, piece) :]
            except BlockingIOError:  # whoever gave us the descriptor wants it so
                time.sleep(self.GATHERING)
            except OSError:
                return False
        return True


def access(event, request_id, status, *, method=None, path="-", seconds=None, **who):
    """Write the line of one answered request, as Logfmt would, in a fifth of the time that a LogRecord takes.

    `method`, `seconds` (how long it took): None where that is not known. `who`: user_id, address.
    """
    if not ACCESS.isEnabledFor(logging.INFO):
        return
    pairs = {"event": event}
    if method:
        pairs["method"] = method
    pairs |= {"path": path, "status": status}
    if seconds is not None:
        pairs["ms"] = f"{seconds * 1000:.1f}"
    pairs |= {**who, "request_id": request_id}
    if logging.root.handlers != [_writer]:  # others listen, too
        ACCESS.info("", extra=pairs)
        return
    _writer.put(_line(time.time(), "info", pairs.items()))


def _current_request_id():
    """Return the id of the request that this thread is serving, or None."""
    try:
        return request.environ.get("bodega.request_id")
    except (AttributeError, RuntimeError):  # no request in this thread
        return None


def _line(when, level, pairs, message=""):
    told = [f"{key}={_quoted(str(value))}" for key, value in pairs]
    if message:
        told.insert(0, f"message={_quoted(message, LONGEST_MESSAGE)}")
    return f"time={_written(int(when))} level={level} {' '.join(told)}"


@functools.lru_cache(2)
def _written(when):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def _quoted(text, most=LONGEST):
    text, end = (text, "") if len(text) <= most else (text[: most - 1], "…")
    return text + end if PLAIN.match(text) else json.dumps(text)[:-1] + end + '"'


def configure(level):
    """Send the log of this process to standard error, from this level on ("debug" … "error")."""
    global _writer  # noqa: PLW0603 - logging itself has one such for all of the process
    if _writer is None:
        _writer = Writer(sys.__stderr__.fileno() if sys.__stderr__ else os.open(os.devnull, os.O_WRONLY))
        _writer.setFormatter(Logfmt())
    logging.root.handlers[:] = [_writer]
    logging.root.setLevel(level.upper())
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a line for each queued request says nothing
