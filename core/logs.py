"""The log: one line an event, to standard error, as `key=value` pairs (logfmt), or each line a JSON object.

    time=2026-01-31T12:00:00Z level=info event=request method=GET path=/api/products status=200 ms=1.9 request_id=…
    {"time": "2026-01-31T12:00:00Z", "level": "info", "event": "request", "method": "GET", …, "ms": 1.9, …}

In logfmt a value with other than plain characters is written as a JSON string, so that CR and LF cannot forge a line. A
long value is cut and ends in "…". A line that is written for a request has its id, and its trace where it has one.
"""

import functools
import json
import logging
import os
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

from core import cli
from core.log_writer import Writer
from core.trace import ENVIRON_TRACE, Trace

ACCESS = logging.getLogger("bodega.access")
_writer: Writer | None = None  # of this process
PLAIN = re.compile(r"[\w./:<>@+,%~…-]+\Z")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")  # what a client may send; it also stands in comments of SQL
KEYS = (
    *("event", "outcome", "method", "path", "status", "file", "ms", "rows", "error", "route"),
    *("count", "seconds", "user_id", "by", "role", "address", "request_id", "trace_id", "span_id", "parent_id"),
)
NUMBERS: dict[str, Callable[[str], Any]] = {"status": int, "ms": float, "seconds": float}  # in JSON
SERVING: ContextVar[dict[str, Any] | None] = ContextVar("serving", default=None)  # the request of this thread, in WSGI
CHORE: ContextVar[str | None] = ContextVar("chore", default=None)  # that this thread does
ENVIRON_ID = "bodega.request_id"
LONGEST = 500  # characters of a value, which a client may have sent; so a line fits into one write to a pipe
LONGEST_MESSAGE = 4000  # characters of a message, and of a line of a traceback


class Logfmt(logging.Formatter):
    """Formats a record as logfmt; `extra` may have the keys of KEYS."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback of an exception."""
        own = record.__dict__
        pairs = [(key, own[key]) for key in KEYS if key in own]
        if serving := SERVING.get():
            if ENVIRON_ID in serving and "request_id" not in own:
                pairs.append(("request_id", serving[ENVIRON_ID]))
            if (trace := serving.get(ENVIRON_TRACE)) and "trace_id" not in own:
                pairs += trace.fields().items()
        if chore := CHORE.get():
            pairs.append(("chore", chore))
        trouble = self.formatException(record.exc_info) if record.exc_info else ""
        return self.line(record.created, record.levelname.lower(), pairs, record.getMessage(), trouble)

    def line(
        self, when: float, level: str, pairs: Iterable[tuple[str, Any]], message: str = "", trouble: str = ""
    ) -> str:
        """Return the line of an event. `trouble`: a traceback; it follows on lines of its own."""
        fields = [f"{key}={_quoted(str(value))}" for key, value in pairs]
        if message:
            fields.insert(0, f"message={_quoted(message, LONGEST_MESSAGE)}")
        line = f"time={_time(int(when))} level={level} {' '.join(fields)}"
        if trouble:  # indented, so that no part of it looks like a line of the log
            for part in trouble.replace("\r", "\\r").split("\n"):
                line += "\n    " + part[:LONGEST_MESSAGE] + "…" * (len(part) > LONGEST_MESSAGE)
        return line


class Json(Logfmt):
    """Formats a record as a JSON object, of at most PIPE_BUF bytes: so long a line stays in one piece in a pipe."""

    def line(
        self, when: float, level: str, pairs: Iterable[tuple[str, Any]], message: str = "", trouble: str = ""
    ) -> str:
        """Return the line of an event. Of a traceback that is too long, the beginning gives way."""
        fields: dict[str, Any] = {"time": _time(int(when)), "level": level}
        if message:
            fields["message"] = _cut(message, LONGEST_MESSAGE)
        for key, value in pairs:
            if isinstance(value, int):
                fields[key] = value
            else:
                fields[key] = NUMBERS[key](value) if key in NUMBERS else _cut(str(value), LONGEST)
        if trouble:
            fields["traceback"] = trouble
        while (excess := len(line := json.dumps(fields)) + 1 - select.PIPE_BUF) > 0:
            longest = max(fields, key=lambda key: len(str(fields[key])))
            text, room = fields[longest], max(0, len(fields[longest]) - excess - len('"\\u2026"'))
            fields[longest] = "…" + text[len(text) - room :] if longest == "traceback" else text[:room] + "…"
        return line


FORMATS: dict[str, type[Logfmt]] = {"logfmt": Logfmt, "json": Json}


def access(
    event: str,
    request_id: str,
    status: str,
    *,
    method: str | None = None,
    path: str = "-",
    seconds: float | None = None,
    trace: Trace | None = None,
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
    if trace:
        pairs |= trace.fields()
    if _writer is None or logging.root.handlers != [_writer]:  # there are other handlers
        ACCESS.info("", extra=pairs)
        return
    _writer.put(_writer.formatter.line(time.time(), "info", pairs.items()))  # type: ignore[union-attr]


def current_request_id() -> str | None:
    """Return the id of the request that this thread works for, or None."""
    serving = SERVING.get()
    return serving.get(ENVIRON_ID) if serving else None


def whose() -> str:
    """Return for whom this thread works, in plain words: "request=…", with "traceparent=…"; "chore=…"; or "".

    It gets into comments of SQL: whatever is not a REQUEST_ID is left out.
    """
    serving, chore = SERVING.get() or {}, CHORE.get()
    id = serving.get(ENVIRON_ID)
    if id and REQUEST_ID.match(id):
        trace = serving.get(ENVIRON_TRACE)
        return f"request={id} traceparent={trace}" if trace else f"request={id}"
    return f"chore={chore}" if chore and REQUEST_ID.match(chore) else ""


def current_route() -> dict[str, str]:
    """Return {method, route} of the request that this thread works for, as far as there is one."""
    route = (SERVING.get() or {}).get("bottle.route")
    return {"method": route.method, "route": route.rule} if route else {}


@functools.lru_cache(2)
def _time(when: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def _quoted(text: str, most: int = LONGEST) -> str:
    text, end = (text, "") if len(text) <= most else (text[: most - 1], "…")
    return text + end if PLAIN.match(text) else json.dumps(text)[:-1] + end + '"'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def configure(level: str, form: str = "logfmt") -> None:
    """Send the log of this process to standard error, from this level on ("debug" … "error"), in one of FORMATS.

    What Python itself would print there, of a thread that broke say, becomes a line of it.
    """
    global _writer  # noqa: PLW0603 - one for the process, like the root of logging
    if _writer is None:
        _writer = Writer(sys.__stderr__.fileno() if sys.__stderr__ else os.open(os.devnull, os.O_WRONLY))
    _writer.setFormatter(FORMATS[form]())
    logging.root.handlers[:] = [_writer]
    logging.root.setLevel(level.upper())
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it has a line for each queued request
    logging.captureWarnings(capture=True)
    threading.excepthook = sys.unraisablehook = _broke
    cli.journal = _told if form == "json" else None


def _broke(broken: Any) -> None:
    """Log an exception that nobody caught: of a thread, or of what Python itself has called."""
    where = getattr(broken, "thread", None) or getattr(broken, "object", None)
    if broken.exc_type is not SystemExit:
        trouble = (broken.exc_type, broken.exc_value, broken.exc_traceback)
        logging.getLogger("bodega").error("nobody caught an exception in %s", where, exc_info=trouble)


def _told(line: str, failure: bool) -> None:
    """Log what a command says at standard error."""
    logging.getLogger("bodega").log(logging.ERROR if failure else logging.INFO, line)
