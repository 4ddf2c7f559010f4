"""What a serving thread does with one request: ask the application, give its answer to the channel, or refuse.

- A body that is made while it leaves (an export) rests while there is enough of it, and leaves its thread to others.
- A large body (an upload) is read when the application asks for it: until it has looked at the token, it does not.
- A refusal is in our envelope, with our headers.
- An answer without a body (204, 304) keeps its connection.
"""

import logging

from bottle import HTTPResponse
from waitress.channel import ClientDisconnected
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest, InternalServerError, RequestEntityTooLarge

from core import errors, logs
from core.contract.envelope import failure
from core.json_text import MEDIA_TYPE
from core.serving.middleware import ENVIRON_ID

ENOUGH = 1024 * 1024  # bytes of an answer that is made while it leaves, before its making rests

MALFORMED = "Its first line, its headers or the framing of its body cannot be read."

log = logging.getLogger("bodega.access")


class Overload(BadRequest):
    """Marks a request that is turned away because there are too many like it."""


class Task(WSGITask):
    """Answers a request."""

    rests = False  # the answer is not complete; more of it is made when the client has taken what there is
    _body = _parts = None

    def service(self):
        """Answer it, or go on with the answer."""
        # waitress would write the path to the log here, and a path may hold a session id; and be silent on an OSError.
        try:
            if self._parts is None:
                self.start()
                self._body = self.channel.server.application(self.get_environment(), self._start_response)
                self._parts = iter(self._body)
            self._send()
        except ClientDisconnected:
            self.close()
        except BaseException:  # SystemExit too
            self.close()
            request_id = (self.environ or {}).get(ENVIRON_ID, "")
            log.exception("a crash outside of the application", extra={"request_id": request_id or "-"})
            if not self.wrote_header:
                self.refuse(InternalServerError(""))

    def _start_response(self, status, headers, exc_info=None):
        if exc_info and self.wrote_header:
            raise exc_info[1]
        self.status, self.response_headers, self.complete = status, list(headers), True
        for name, value in headers:
            if name.lower() == "content-length":
                self.content_length = int(value)
            if "\n" in value or "\r" in value:
                raise ValueError(f"The header {name} has more than one line.")
        return self.write

    def _send(self):
        self.rests = False
        for part in self._parts:
            if part:
                self.write(part)
            if self.channel.total_outbufs_len > ENOUGH and not isinstance(self._body, list):
                self.rests = True
                return
        expected = self.content_length if self.has_body and self.request.command != "HEAD" else None
        if expected not in (None, self.content_bytes_written):
            log.error("an answer of %s bytes instead of %s", self.content_bytes_written, expected)
            self.set_close_on_finish()
        self.finish()
        if hasattr(self._body, "close"):
            self._body.close()

    def close(self):
        """End an answer that is not complete."""
        self.rests = False
        self.close_on_finish = True
        if hasattr(self._body, "close"):
            self._body.close()

    def refuse(self, error):
        """Answer with an error of waitress' instead."""
        self.close_on_finish = True
        self.request.error = error
        if request_id := (self.environ or {}).get(ENVIRON_ID):
            self.request.headers["X_REQUEST_ID"] = request_id
        Refusal(self.channel, self.request).service()

    def build_response_header(self):
        """Return the head of the answer."""
        if self.channel.server.leaving and not self.channel.unread:  # what came with it is answered before
            self.request.headers["CONNECTION"] = "close"
        return super().build_response_header()

    def set_close_on_finish(self):
        """Let the answer end the connection, if it must."""
        asked = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or self.version != "1.1" or asked:  # waitress closes whatever has no Content-Length
            super().set_close_on_finish()


class _Unread:
    """The body of a request whose body has not been read: whoever reads it answers 100 Continue (RFC 9110, 15.2.1)."""

    def read(self, *_):
        raise HTTPResponse(status=100)


class Inquiry(Task):
    """Runs a request without its body, to see whether the application asks for it, or answers before (401, 403, …)."""

    def get_environment(self):
        """Return what the application gets."""
        environ = super().get_environment()
        environ["wsgi.input"] = _Unread()
        return environ

    def finish(self):
        """Send the answer, or see to it that the body is read."""
        if not self.status.startswith("100"):
            super().finish()
        elif self.channel.server.takes_upload(self.channel):
            if self.request.expect_continue:
                self.channel.send_continue()
        else:
            self.refuse(Overload("Too many uploads at once. Try again in a moment."))

    def build_response_header(self):
        """Return the head of the answer."""
        self.request.headers["CONNECTION"] = "close"
        self.channel.refused = True  # the body may be on its way
        return super().build_response_header()


class Refusal(ErrorTask):
    """Answers a request that cannot be read, or for which there is no room."""

    rests = False

    def close(self):
        """End it unsent."""
        self.close_on_finish = True

    def service(self):
        """Refuse it."""
        try:
            super().service()
        except Exception as error:
            self.close_on_finish = True
            if not isinstance(error, ClientDisconnected):
                log.exception("a refusal broke")

    def execute(self):
        """Send the error."""
        self.channel.refused = True
        problem = self.request.error
        if isinstance(problem, Overload):
            error = errors.ServiceUnavailable(problem.body)
        elif isinstance(problem, RequestEntityTooLarge):
            error = errors.PayloadTooLarge()
        elif isinstance(problem, InternalServerError):
            error = errors.InternalError()
        else:
            error = errors.ValidationError(("request", MALFORMED))
        headers = getattr(self.request, "headers", {})
        body = failure(error)
        own = [(name, value) for name, value in error.headerlist if name != "Content-Type"]
        self.status = error.status_line
        self.response_headers += [("Content-Type", MEDIA_TYPE), ("Cache-Control", "no-store"), *own]
        carried = self.channel.server.middleware.headers(headers.get("X_REQUEST_ID"), headers.get("ORIGIN"))
        self.response_headers += carried
        status = str(error.status_code)
        logs.access("refused", carried[0][1], status)
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(b"" if getattr(self.request, "command", "") == "HEAD" else body)
