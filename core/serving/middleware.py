"""The outermost layer: a WSGI application around Bottle's.

It gives every answer a request id, CORS headers, PROTECTION and a line in the log. An exception that no plugin has
caught is caught here, and becomes an answer in the envelope too.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from bottle import Bottle

from core import errors, logs, recurring
from core.app import methods_of
from core.cache import Memory
from core.contract.cached_answers import CACHE
from core.contract.envelope import failure
from core.db.readiness import Readiness
from core.identity.changes import Changes
from core.json_text import MEDIA_TYPE
from core.logs import ENVIRON_ID
from core.serving import server_timing
from core.serving.chores import Chores
from core.serving.cors import Cors
from core.serving.exposition import CONTENT_TYPE, Exposition
from core.serving.memory_responder import Headers, MemoryResponder, merged
from core.serving.request_times import answered
from core.trace import ENVIRON_TRACE, taken

log = logging.getLogger("bodega.access")

UNUSABLE = re.compile(r"[\x00-\x1f\x7f]")
ENVIRON_HEADERS = "bodega.headers"  # what is appended here is sent with every answer, errors too
PROTECTION = (  # an answer is data: if a browser is made to show it as a page, it loads nothing, and not in a frame
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),  # our own pages replace it
    ("Referrer-Policy", "no-referrer"),
)
REFUSALS = {"401", "403", "429"}  # the log names the client: by address, and by account where known
SECRET_ARGUMENTS = {"session_id"}  # parts of a path that are secret; the log shows the route instead
Environ = dict[str, Any]
Start = Callable[..., Any]  # start_response of WSGI


class Middleware:
    """The application that a server serves: `Middleware(bottle, cors)`.

    `memory`: the cache.Memory in which the envelope caches answers, or None. `readiness`: whether the database can
    serve the shop, or None where the application has no database. `chores`: what it does beside answering, or None.
    `queue_timeout`: seconds that a request may wait for a thread. `metrics`: what GET /metrics answers, or None.
    `timing`: whether answers have Server-Timing. `changes`: how other hosts hear of changes, and this one of theirs.
    """

    def __init__(
        self,
        bottle: Bottle,
        cors: Cors,
        memory: Memory | None = None,
        readiness: Readiness | None = None,
        chores: Chores | None = None,
        *,
        queue_timeout: float = 1.0,
        metrics: Exposition | None = None,
        timing: bool = False,
        changes: Changes | None = None,
    ) -> None:
        self.bottle = bottle
        self.cors = cors
        self.readiness = readiness
        self.chores = chores
        self.queue_timeout = queue_timeout
        self.metrics = metrics
        self.timing = timing
        self.changes = changes
        self.responder = MemoryResponder(self, memory) if memory else None

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        started = time.perf_counter()
        sent = ["500"]
        extra = self.headers(*map(environ.get, ("HTTP_X_REQUEST_ID", "HTTP_ORIGIN", "HTTP_HOST")))
        environ[ENVIRON_ID] = extra[0][1]
        environ[ENVIRON_HEADERS] = extra
        trace = environ[ENVIRON_TRACE] = taken(environ.get("HTTP_TRACEPARENT"))
        logs.SERVING.set(environ)  # until this thread is done with it, see channel.py

        def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
            sent[0] = status[:3]
            if self.timing:
                extra.append(server_timing.header(environ, time.perf_counter() - started, environ.get(CACHE, "")))
            return start_response(status, merged(headers, extra), exc_info)

        try:
            body = self._answer(environ, start)
        except Exception as error:
            recurring.failing(log, logging.ERROR, "a crash outside of the handlers", error=error)
            body = _send(errors.InternalError(), start)
        seconds = time.perf_counter() - started
        method, path = environ["REQUEST_METHOD"], shown_path(environ)
        if sent[0] != "100":  # then the body comes in, and all of it is asked again
            route = environ.get("bottle.route")
            answered(method, route.rule if route else "", sent[0], seconds, environ.get(CACHE, ""))
        who = _who(environ) if sent[0] in REFUSALS else {}
        logs.access(
            "request", environ[ENVIRON_ID], sent[0], method=method, path=path, seconds=seconds, trace=trace, **who
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else body

    def headers(self, request_id: str | None, origin: str | None, host: str | None) -> Headers:
        """Return the headers that every answer carries; the first is X-Request-ID."""
        if not request_id or not logs.REQUEST_ID.match(request_id):
            request_id = os.urandom(8).hex()
        cors = self.cors.headers(origin, host, request_id)
        if self.timing:
            cors += server_timing.allowed(cors)
        return [("X-Request-ID", request_id), *PROTECTION, *cors]

    @property
    def uploads(self) -> dict[tuple[str, str], int]:
        """The routes that take more than an ordinary body: {(method, path): bytes}."""
        routes = [route for route in self.bottle.routes if route.config.get("consumes")]
        return {(route.method, route.rule): route.config["consumes"].largest for route in routes}

    @property
    def immediate(self) -> set[tuple[str, str]]:
        """The routes that wait for nothing, so that the thread that reads answers them: {(method, path)}."""
        rules = [route.rule for route in self.bottle.routes if route.config.get("at_once")]
        return {(method, rule) for rule in rules for method in ("GET", "HEAD")}

    def _answer(self, environ: Environ, start: Start) -> Iterable[bytes]:
        try:
            path = environ["PATH_INFO"].encode("latin-1").decode("utf-8")
        except UnicodeError:
            return _send(errors.NotFound(), start)
        if UNUSABLE.search(path):
            return _send(errors.NotFound(), start)
        path = path.rstrip("/") or "/"
        environ["PATH_INFO"] = path.encode().decode("latin-1")
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return self._options(environ, path, start)
        if path == "/metrics" and self.metrics and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._tell_metrics(self.metrics, start)
        return self.bottle(environ, start)

    def _tell_metrics(self, metrics: Exposition, start: Start) -> Iterable[bytes]:
        text = metrics.text()
        start(
            "200 OK",
            [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(text))), ("Cache-Control", "no-store")],
        )
        return [text]

    def _options(self, environ: Environ, path: str, start: Start) -> Iterable[bytes]:
        methods = methods_of(self.bottle, path)
        if not methods:
            return _send(errors.NotFound(), start)
        headers = [("Allow", ", ".join(methods)), ("Cache-Control", "no-store")]
        start("204 No Content", headers + self.cors.preflight(environ.get("HTTP_ORIGIN"), methods))
        return []


def shown_path(environ: Environ) -> str:
    """Return the path for the log: without the query, and without parts that could be a session id."""
    route = environ.get("bottle.route")
    if route is None:
        parts = environ["PATH_INFO"].split("/")
        return "/".join(parts[:3]) + "/…" if len(parts) > 3 else "/".join(parts)
    return route.rule if SECRET_ARGUMENTS & environ["route.url_args"].keys() else environ["PATH_INFO"]


def _who(environ: Environ) -> dict[str, Any]:
    """Return whose request this is, as far as the plugins have found out."""
    found = {name: environ.get(f"bodega.{name}") for name in ("user_id", "address")}
    return {name: value for name, value in found.items() if value is not None}


def _send(error: errors.ApiError, start: Start) -> list[bytes]:
    """Answer with an error, without Bottle."""
    body = failure(error)
    headers = [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    start(error.status_line, headers + [(name, value) for name, value in error.headerlist if name != "Content-Type"])
    return [body]
