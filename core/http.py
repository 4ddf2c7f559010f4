"""waitress, with its doors closed: what it leaves open for attackers and for bad days is mended here.

- its own refusals (a malformed or too large request) leave in our envelope, with our headers;
- Content-Length together with Transfer-Encoding is refused: that is how requests are smuggled past a proxy;
- a refusal is not lost where the client still sends: its connection is closed once that has been thrown away;
- a request that does not arrive within REQUEST_DEADLINE seconds is cut off, however slowly it drips;
- past QUEUE_LIMIT waiting requests, new ones get a 503 at once instead of a place in a queue without end;
- an answer without a body (204, 304) keeps its connection;
- `stop` stops accepting, finishes what has arrived, and lets `run` return; `retire` does it so gently that no client
  notices, where another process goes on with the socket: each answer says that its connection ends, and ends it.
"""

import contextlib
import copy
import logging
import socket
import threading
import time

from waitress.adjustments import Adjustments
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest, InternalServerError, RequestEntityTooLarge
from waitress.wasyncore import loop

from core import errors, logs
from core.crew import Crew
from core.edge import ENVIRON_ID
from core.envelope import JSON, failure
from core.reading import LARGEST_BODY

REQUEST_DEADLINE = 20  # seconds from the first byte of a request to its last
UPLOAD_DEADLINE = 120  # the same, for the few routes that take a file
IDLE = 60  # seconds that a connection may do nothing
CONNECTIONS = 1000  # at once, for each worker; waitress' 100 are locked by a hundred idle browsers
QUEUE_LIMIT = 256  # requests that wait for a thread, for each worker
DRAIN = 5  # seconds for what is under way when we are told to stop, and for idle connections when we retire
RETIREMENT = 300  # seconds for what is under way when we retire: an upload, and its import
LINGER = 2  # seconds that a refused client may still send before its connection is cut

MALFORMED = "Its first line, its headers or the framing of its body cannot be read."

log = logging.getLogger("bodega.access")


class _Overload(BadRequest):
    """Marks a request that is turned away because too many wait."""


class _Parser(HTTPRequestParser):
    deadline = REQUEST_DEADLINE

    def received(self, data):
        consumed = super().received(data)
        if self.completed:  # also by an error: then waitress would ask for the body and forget the error
            self.expect_continue = False
        return consumed

    def parse_header(self, header_plus):
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # an address such as http://[::1/, a length of 5,000 digits
            raise ParsingError(str(error)) from None
        connection = {word.strip().lower() for word in self.headers.get("CONNECTION", "").split(",")}
        if "close" in connection:
            self.headers["CONNECTION"] = "close"  # waitress knows it only when it stands alone
        if "," in self.headers.get("HOST", ""):  # several (RFC 9112, 3.2)
            raise ParsingError("one Host header is wanted")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding exclude each other")
        if "TRANSFER_ENCODING" in self.headers:  # waitress reads it in HTTP/1.1 alone (RFC 9112, 6.1)
            raise ParsingError("Transfer-Encoding is for HTTP/1.1")
        if largest := self.adj.uploads.get((self.command, self.path.rstrip("/"))):
            self.deadline = UPLOAD_DEADLINE
            self.adj = copy.copy(self.adj)
            self.adj.max_request_body_size = largest + LARGEST_BODY  # the envelope refuses what is over `largest`


class _Task(WSGITask):
    def service(self):
        # waitress would write the path to the log here, and a path may hold a session id.
        try:
            super().service()
        except ClientDisconnected:
            self.close_on_finish = True
        except BaseException:  # SystemExit too
            self.close_on_finish = True
            request_id = (self.environ or {}).get(ENVIRON_ID, "")
            log.exception("a crash outside of the application", extra={"request_id": request_id or "-"})
            if not self.wrote_header:
                self.request.error = InternalServerError("")
                self.request.headers["X_REQUEST_ID"] = request_id
                _Refusal(self.channel, self.request).service()

    def build_response_header(self):
        if self.channel.server.leaving and len(self.channel.requests) == 1:  # what came with it is answered before
            self.request.headers["CONNECTION"] = "close"
        return super().build_response_header()

    def set_close_on_finish(self):
        asked = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or self.version != "1.1" or asked:  # waitress closes whatever has no Content-Length
            super().set_close_on_finish()


class _Refusal(ErrorTask):
    def service(self):
        try:
            super().service()
        except Exception as error:
            self.close_on_finish = True
            if not isinstance(error, ClientDisconnected):
                log.exception("a refusal broke")

    def execute(self):
        self.channel.refused = True
        problem = self.request.error
        if isinstance(problem, _Overload):
            error = errors.ServiceUnavailable("Too many requests are waiting. Try again in a moment.")
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
        self.response_headers += [("Content-Type", JSON), ("Cache-Control", "no-store"), *own]
        carried = self.channel.server.edge.headers(headers.get("X_REQUEST_ID"), headers.get("ORIGIN"))
        self.response_headers += carried
        status = str(error.status_code)
        logs.access("refused", carried[0][1], status)
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(b"" if getattr(self.request, "command", "") == "HEAD" else body)


class _Channel(HTTPChannel):
    parser_class = _Parser
    task_class = _Task
    error_task_class = _Refusal
    begun = None  # when the first byte of a request that is not complete yet came in
    refused = False  # the answer is a refusal
    raw = None  # while we read: what has come in
    lingering = None  # since when the last answer is out, and what still comes in is thrown away

    def received(self, data):
        if self.lingering:
            return False
        before = self.request
        lane = self.server.lane
        wanted = lane.known(data) if lane and before is None and not self.requests else None
        if wanted and self.answer_at_once(wanted):
            return True
        self.raw = data
        result = super().received(data)
        self.raw = None
        if self.request is not before:
            self.begun = time.time() if self.request is not None else None
        return result

    def answer_at_once(self, wanted):
        """Answer from memory, on the thread that reads the sockets; return whether that could be done."""
        lane = self.server.lane
        engaged = self.total_outbufs_len or self.will_close or self.close_when_flushed or not self.connected
        answer = lane.answer(wanted) if lane and not engaged else None
        if answer is None:
            return False
        sent = self.send(answer)
        if sent < len(answer) and self.connected:
            with self.outbuf_lock:  # the rest leaves when the socket takes more
                self.outbufs[-1].append(answer[sent:])
                self.current_outbuf_count += len(answer) - sent
                self.total_outbufs_len += len(answer) - sent
        return True

    def handle_write(self):
        """Close unforeseen in two steps: with bytes unread, close() resets, and the client loses the answer."""
        if not (self.refused or self.server.leaving) or not self.close_when_flushed or self.will_close:
            super().handle_write()
            return
        self._flush_exception(self._flush_some)
        if self.connected and not self.total_outbufs_len and not self.will_close:
            self.close_when_flushed = False
            self.lingering = time.time()
            with contextlib.suppress(OSError):  # the client was faster
                self.socket.shutdown(socket.SHUT_WR)


class Server(TcpWSGIServer):
    """waitress' server for one listening socket. `application` is a core.edge.Edge."""

    channel_class = _Channel

    def __init__(self, application, listening, threads):
        settings = Adjustments(
            sockets=[listening],
            threads=threads,
            ident=None,
            connection_limit=CONNECTIONS,
            channel_timeout=IDLE,
            cleanup_interval=2,
            asyncore_use_poll=True,
            clear_untrusted_proxy_headers=False,  # core/limits.py knows which proxies to believe
            max_request_header_size=64 * 1024,
            max_request_body_size=2 * LARGEST_BODY,  # the envelope refuses what is over LARGEST_BODY
            log_socket_errors=False,
        )
        settings.uploads = application.uploads
        self._turnstile = ThreadedTaskDispatcher()  # one thread for refusals, which may not wait behind the queue
        self._turnstile.set_thread_count(1)
        dispatcher = Crew(threads)
        place = (listening.family, listening.type, listening.proto, listening.getsockname())
        super().__init__(
            application, {}, True, listening, dispatcher=dispatcher, adj=settings, sockinfo=place, bind_socket=False
        )
        self.lane = application.lane
        self.edge = application  # waitress may wrap its own `application`
        self.leaving = None  # since when no connections are taken, and answers close theirs
        self._told = self._stop = False  # told: to stop or to retire

    def add_task(self, task):
        """Answer a request from memory, queue it, or turn it away."""
        lane = self.lane
        if lane and task.raw is not None:  # with what was sent in one go others come here, who do not read
            wanted = lane.wanted(task.requests[0], task.raw)
            if wanted and task.answer_at_once(wanted):
                task.requests.clear()
                return
        if len(self.task_dispatcher.queue) >= QUEUE_LIMIT:
            task.requests[0].error = _Overload("")
            self._turnstile.add_task(task)
        else:
            super().add_task(task)

    def readable(self):
        """Accept more; where there is no room, let go of the connections that have been idle for longest."""
        if len(self._map) >= self.adj.connection_limit:
            idle = [c for c in self.active_channels.values() if not c.requests and not c.total_outbufs_len]
            for channel in sorted(idle, key=lambda c: c.last_activity)[: CONNECTIONS // 20]:
                channel.will_close = True
        return super().readable()

    def maintenance(self, now):
        """Close what is idle, what takes too long to say what it wants, and what does not take its answer."""
        for channel in list(self.active_channels.values()):
            idle = channel.last_activity < now - self.adj.channel_timeout
            late = channel.begun and channel.begun < now - getattr(channel.request, "deadline", REQUEST_DEADLINE)
            lingers = channel.lingering and channel.lingering < now - LINGER
            if lingers or ((idle or late) and not channel.requests):
                channel.will_close = True
            if idle and channel.total_outbufs_len:
                channel.handle_close()  # will_close waits until the client takes more; so does a thread

    def stop(self):
        """Make `run` drain and return; safe in a signal handler."""
        self._told = self._stop = True
        self.pull_trigger()

    def retire(self):
        """Make `run` leave the socket to another process, and return when all answers are out; safe like `stop`."""
        self._told = True
        self.pull_trigger()

    def run(self, ready=lambda: None):
        """Serve until `stop` or `retire` is called, then drain. `ready()` is called when it begins to read."""
        self.trigger.pull_trigger(ready)
        self.task_dispatcher.work(self._turn)
        self._drain()

    def pull_trigger(self):
        """Wake the thread that reads, to look at what a channel wants now."""
        if not self._leading():
            super().pull_trigger()

    def _leading(self):
        return threading.get_ident() == self.task_dispatcher.leader

    def _turn(self, wait):
        loop(timeout=1 if wait else 0, use_poll=True, map=self._map, count=1)
        return not self._told or self._goes_on()

    def _goes_on(self):
        """Return whether there is something to read or to answer still: when retiring, on the connections we have."""
        if self._stop:
            return False
        if not self.leaving:
            self._leave()
        now = time.time()
        self.maintenance(now)  # of `readable`, which nobody asks any more
        return bool(self.active_channels) and now < self.leaving + (RETIREMENT if self._under_way() else DRAIN)

    def _under_way(self):
        return any(c.requests or c.request or c.total_outbufs_len for c in list(self.active_channels.values()))

    def _leave(self):
        """Take no new connections, and let each answer close its own."""
        self.leaving = time.time()
        self.lane = None  # its answers keep their connections
        self.accepting = False
        self.del_channel()
        self.socket.close()

    def _drain(self):
        """Take what has been connected already, stop listening, and answer what has arrived, for DRAIN seconds."""
        deadline = time.time() + DRAIN
        if not self.leaving:
            for _ in range(self.adj.backlog):
                known = len(self.active_channels)
                self.handle_accept()
                if len(self.active_channels) == known:
                    break
            with contextlib.suppress(OSError):  # macOS knows no shutdown here
                self.socket.shutdown(socket.SHUT_RDWR)  # the watch has this socket too: to close ours is not enough
            self._leave()
        quiet_since = time.time()
        while time.time() < deadline:
            loop(timeout=0.05, use_poll=True, map=self._map, count=1)
            if self._under_way():
                quiet_since = time.time()
            elif time.time() - quiet_since > 0.1:  # what was on its way in the network has come in
                break
        self.task_dispatcher.shutdown(timeout=max(0.1, deadline - time.time()))
        for channel in list(self.active_channels.values()):
            channel.handle_close()
