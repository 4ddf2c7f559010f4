"""The log: one line an event, `key=value` pairs (logfmt), to standard error.

    time=2026-01-31T12:00:00Z level=info event=request method=GET path=/api/products status=200 ms=1.9 request_id=…

A value with anything but plain characters is written as JSON text, so that CR and LF cannot forge a line.
"""

import json
import logging
import re
import time

from bottle import request

PLAIN = re.compile(r"[\w./:<>@+,%~…-]+\Z")
OURS = ("event", "outcome", "method", "path", "status", "ms", "user_id", "by", "role", "address", "request_id")


class Logfmt(logging.Formatter):
    """Formats a record as logfmt; `extra` may hold the keys of OURS."""

    def format(self, record):
        """Return the line; a traceback follows on lines of its own."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        parts = [f"time={when}", f"level={record.levelname.lower()}"]
        pairs = [(key, getattr(record, key)) for key in OURS if hasattr(record, key)]
        if not any(key == "request_id" for key, _ in pairs) and (known := _current_request_id()):
            pairs.append(("request_id", known))
        if message := record.getMessage():
            pairs.insert(0, ("message", message))
        parts += [f"{key}={_quoted(str(value))}" for key, value in pairs]
        line = " ".join(parts)
        if record.exc_info:  # indented, so that nothing in it can pass for a line of its own
            line += "\n    " + self.formatException(record.exc_info).replace("\r", "\\r").replace("\n", "\n    ")
        return line


def _current_request_id():
    """Return the id of the request that this thread is serving, or None."""
    try:
        return request.environ.get("bodega.request_id")
    except (AttributeError, RuntimeError):  # no request in this thread
        return None


def _quoted(text):
    return text if PLAIN.match(text) else json.dumps(text)


def configure(level):
    """Send the log of this process to standard error, from this level on ("debug" … "error")."""
    handler = logging.StreamHandler()
    handler.setFormatter(Logfmt())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a line for each queued request says nothing
