"""What a serving thread does with one request, in waitress' words a task: ask the application, and send its answer.

- An answer that is made while it is sent (an export) pauses while enough of it is pending; its thread does other work.
- A large body (an upload) is read when the application asks for it, which it does once it has looked at the token.
- A refusal has the envelope and the headers of every answer.
- An answer without a body (204, 304) keeps its connection.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bottle import HTTPResponse
from waitress.channel import ClientDisconnected
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest, InternalServerError, RequestEntityTooLarge

from core import errors, logs
from core.contract.envelope import failure
from core.json_text import MEDIA_TYPE
from core.logs import ENVIRON_ID
from core.serving.request_times import answered
from core.trace import ENVIRON_TRACE, taken

PAUSE_AT = 1024 * 1024  # bytes that are pending of an answer that is made while it is sent, until it pauses

MALFORMED = "Its first line, its headers or the framing of its body cannot be read."

log = logging.getLogger("bodega.access")


class Overload(BadRequest):
    """Marks a request that is turned away because there are too many like it."""


class Task(WSGITask):
    """Answers a request."""

    paused = False  # the answer is not complete; more of it is made when the client has taken what is pending
    _body: Iterable[bytes] | None = None
    _parts: Iterator[bytes] | None = None

    def service(self) -> None:
        """Answer it, or go on with the answer."""
        # waitress' own logs the path, which may hold a session id, and does not log an OSError.
        try:
            parts = self._parts
            if parts is None:
                self.start()
                self._body = self.channel.server.application(self.get_environment(), self._start_response)
                parts = self._parts = iter(self._body)
            self._send(parts)
        except ClientDisconnected:
            self.close()
        except BaseException:  # SystemExit too
            self.close()
            log.exception("a crash outside of the application")
            if not self.wrote_header:
                self.refuse(InternalServerError(""))

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if exc_info and self.wrote_header:
            raise exc_info[1]
        self.status, self.response_headers, self.complete = status, list(headers), True
        for name, value in headers:
            if name.lower() == "content-length":
                self.content_length = int(value)
            if "\n" in value or "\r" in value:
                raise ValueError(f"The header {name} has more than one line.")
        return self.write

    def _send(self, parts: Iterator[bytes]) -> None:
        self.paused = False
        for part in parts:
            if part:
                self.write(part)
            if self.channel.total_outbufs_len > PAUSE_AT and not isinstance(self._body, list):
                self.paused = True
                return
        expected = self.content_length if self.has_body and self.request.command != "HEAD" else None
        if expected not in (None, self.content_bytes_written):
            log.error("an answer of %s bytes instead of %s", self.content_bytes_written, expected)
            self.set_close_on_finish()
        self.finish()
        self._close_body()

    def _close_body(self) -> None:
        if self._body is not None and hasattr(self._body, "close"):
            self._body.close()

    def close(self) -> None:
        """End an answer that is not complete."""
        self.paused = False
        self.close_on_finish = True
        self._close_body()

    def refuse(self, error: Any) -> None:
        """Answer with an error of waitress instead."""
        self.close_on_finish = True
        self.request.error = error
        if request_id := (self.environ or {}).get(ENVIRON_ID):
            self.request.headers["X_REQUEST_ID"] = request_id
        Refusal(self.channel, self.request).service()

    def build_response_header(self) -> bytes:
        """Return the head of the answer."""
        if self.channel.server.draining and not self.channel.unread:  # requests that came with it are answered first
            self.request.headers["CONNECTION"] = "close"
        return super().build_response_header()

    def set_close_on_finish(self) -> None:
        """Let the answer end the connection, where it must: waitress would wherever there is no Content-Length."""
        asked = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or self.version != "1.1" or asked:
            super().set_close_on_finish()


class _UnreadBody:
    """A body that has not come in yet: to read it is to answer 100 Continue (RFC 9110, 15.2.1)."""

    def read(self, *_: Any) -> bytes:
        raise HTTPResponse(status=100)


class HeadersTask(Task):
    """Runs a request without its body, to see whether the application reads that, or answers before (401, 403, …)."""

    def get_environment(self) -> dict[str, Any]:
        """Return what the application gets."""
        environ = super().get_environment()
        environ["wsgi.input"] = _UnreadBody()
        return environ

    def finish(self) -> None:
        """Send the answer, or let the body come in."""
        if not self.status.startswith("100"):
            super().finish()
        elif self.channel.server.takes_upload(self.channel):
            if self.request.expect_continue:
                self.channel.send_continue()
        else:
            self.refuse(Overload("Too many uploads at once. Try again in a moment."))

    def build_response_header(self) -> bytes:
        """Return the head of the answer."""
        self.request.headers["CONNECTION"] = "close"
        self.channel.refused = True  # the body may be on its way
        return super().build_response_header()


class Refusal(ErrorTask):
    """Answers a request that cannot be read, or for which there is no room."""

    paused = False
    environ = None

    def close(self) -> None:
        """End it unsent."""
        self.close_on_finish = True

    def service(self) -> None:
        """Refuse it."""
        try:
            super().service()
        except Exception as error:
            self.close_on_finish = True
            if not isinstance(error, ClientDisconnected):
                log.exception("a refusal broke")

    def execute(self) -> None:
        """Send the error."""
        problem = self.request.error
        keeps = isinstance(problem, Overload) and self.request.completed and not self.channel.server.draining
        self.channel.refused = not keeps
        error: errors.ApiError
        if isinstance(problem, Overload):
            error = errors.ServiceUnavailable(problem.body)
        elif isinstance(problem, RequestEntityTooLarge):
            error = errors.PayloadTooLarge()
        elif isinstance(problem, InternalServerError):
            error = errors.InternalError()
        else:
            error = errors.ValidationError(("request", MALFORMED))
        body = failure(error)
        headers = getattr(self.request, "headers", {})
        common = self.channel.server.middleware.headers(*map(headers.get, ("X_REQUEST_ID", "ORIGIN", "HOST")))
        trace = taken(headers.get("TRACEPARENT"))
        logs.SERVING.set({ENVIRON_ID: common[0][1], ENVIRON_TRACE: trace})
        own = [(name, value) for name, value in error.headerlist if name != "Content-Type"]
        self.status = error.status_line
        self.response_headers += [("Content-Type", MEDIA_TYPE), ("Cache-Control", "no-store"), *own, *common]
        command, begun = getattr(self.request, "command", ""), getattr(self.request, "begun", None)
        answered(command, "", str(error.status_code), time.monotonic() - begun if begun else 0.0)
        logs.access("refused", common[0][1], str(error.status_code), trace=trace)
        if not keeps:  # to connect anew would be more work than the refusal, for both
            self.set_close_on_finish()
        self.content_length = len(body)
        self.write(b"" if command == "HEAD" else body)
