"""waitress' server, with the limits that it lacks against attackers and broken clients.

- parser.py reads requests strictly, task.py answers them, channel.py holds a connection; this file holds all of them
  together, and holds the limits of a worker.
- A request that does not arrive within REQUEST_DEADLINE seconds is cut off, however slowly it drips. So is an answer
  that the client does not take; and where more than PENDING bytes wait to be taken, those that have waited longest.
- Past QUEUE_LIMIT waiting requests, a new one gets a 503 at once instead of a place in an endless queue.
- Times are those of the monotonic clock, because the time of day may jump.
- `stop` drains: it accepts no more, finishes what has arrived, and lets `run` return. `retire` drains so gently that no
  client notices, where another process goes on with the socket: each answer says that it closes its connection.
"""

import contextlib
import math
import socket
import sys
import threading
import time
from collections.abc import Callable

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.wasyncore import loop

from core.contract.request_body import LARGEST_BODY
from core.serving.channel import IDLE, Channel
from core.serving.dispatcher import Dispatcher
from core.serving.middleware import Middleware
from core.serving.task import Overload

# For each worker:
CONNECTIONS = 1000  # at once; waitress' 100 are used up by a hundred idle browsers
QUEUE_LIMIT = 256  # requests that wait for a thread
PENDING = 128 * 1024 * 1024  # bytes that clients have not taken yet; a body that several wait for counts for each
UPLOADS = 2  # large bodies that come in or are worked on at once; each is in memory as a whole
MAINTENANCE = 2  # seconds between two looks at what is late
LARGEST_HEADER = 64 * 1024  # bytes of the first line and the headers
DRAIN = 5  # seconds for requests under way after `stop`, and for idle connections after `retire`
RETIREMENT = 300  # seconds for requests under way after `retire`: an upload, and its import
LINGER = 2  # seconds that a refused client may still send before its connection is cut


class Server(TcpWSGIServer):
    """waitress' server for one listening socket."""

    channel_class = Channel
    next_channel_cleanup = math.inf  # never: waitress goes by the time of day; see `maintenance`

    def __init__(self, application: Middleware, listening: socket.socket, threads: int) -> None:
        settings = Adjustments(
            sockets=[listening],
            threads=threads,
            ident=None,
            connection_limit=CONNECTIONS,
            channel_timeout=IDLE,
            cleanup_interval=MAINTENANCE,
            asyncore_use_poll=True,
            clear_untrusted_proxy_headers=False,  # core/identity/client_address.py knows which proxies to trust
            max_request_header_size=LARGEST_HEADER,
            max_request_body_size=2 * LARGEST_BODY,  # the envelope refuses what is over LARGEST_BODY
            log_socket_errors=False,
            outbuf_high_watermark=sys.maxsize,  # no thread waits for a client to take more
            inbuf_overflow=sys.maxsize,  # nothing is written to a disk
        )
        settings.uploads = application.uploads
        dispatcher = Dispatcher(threads)
        place = (listening.family, listening.type, listening.proto, listening.getsockname())
        super().__init__(
            application, {}, True, listening, dispatcher=dispatcher, adj=settings, sockinfo=place, bind_socket=False
        )
        self.responder = application.responder
        self.middleware = application  # waitress may wrap its own `application`
        self.draining: float | None = None  # since when no connections are accepted, and answers close theirs
        self._stopping = False  # `stop` was called
        self._ending = False  # `stop` or `retire` was called
        self._next_maintenance = 0.0
        self._uploads = threading.Lock()

    def add_task(self, task: Channel) -> None:
        """Queue a channel with a request for a thread, or turn it away."""
        request = task.requests[0]
        if not request.error and len(self.task_dispatcher.queue) >= QUEUE_LIMIT:
            request.error = Overload("Too many requests are waiting. Try again in a moment.")
        if request.error:
            task.service()  # at once: it takes no time, and must not wait behind the queue
        else:
            super().add_task(task)

    def takes_upload(self, channel: Channel) -> bool:
        """Return whether there is room for one more large body; if so, this channel's is counted."""
        with self._uploads:
            room = sum(other.is_uploading for other in list(self.active_channels.values())) < UPLOADS
            channel.is_uploading = channel.is_uploading or room
            return room

    def check_pending(self) -> None:
        """Let `maintenance` be due at once where too many bytes are pending."""
        if self._pending() > PENDING:
            self._next_maintenance = 0

    def _pending(self) -> int:
        return sum(channel.total_outbufs_len for channel in list(self.active_channels.values()))

    def readable(self) -> bool:
        """Return whether to accept more. Where there is no room, close the connections that are idle for longest."""
        now = time.monotonic()
        if now >= self._next_maintenance:
            self._next_maintenance = now + self.adj.cleanup_interval
            self.maintenance(now)
        if len(self._map) >= self.adj.connection_limit:
            for channel in self._idlest_first()[: CONNECTIONS // 20]:
                channel.handle_close()
        return super().readable()

    def _idlest_first(self) -> list[Channel]:
        """Return the channels that no thread works for."""
        waiting = [c for c in list(self.active_channels.values()) if not c.requests or c.paused]
        return sorted(waiting, key=lambda channel: channel.last_activity)

    def maintenance(self, now: float) -> None:
        """Close the connections that are idle, that take too long to send a request, or that do not take an answer."""
        pending = self._pending()
        for channel in self._idlest_first():
            request, unsent = channel.request, channel.total_outbufs_len
            idle = channel.last_activity < now - self.adj.channel_timeout
            late = channel.due < now if unsent else request and request.begun < now - request.deadline
            lingers = channel.lingering and channel.lingering < now - LINGER
            if idle or late or lingers or (unsent and pending > PENDING):
                pending -= unsent
                channel.handle_close()

    def stop(self) -> None:
        """Make `run` drain and return; safe in a signal handler."""
        self._ending = self._stopping = True
        self.pull_trigger()

    def retire(self) -> None:
        """Make `run` leave the socket to another process, and return when all answers are sent; safe like `stop`."""
        self._ending = True
        self.pull_trigger()

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop` or `retire` is called, then drain. `ready()` is called when it begins to read."""
        self.trigger.pull_trigger(ready)
        self.task_dispatcher.work(self._poll)
        self._drain()

    def pull_trigger(self) -> None:
        """Wake the thread that reads, to look at what a channel wants now; unless this is that thread."""
        if threading.get_ident() != self.task_dispatcher.leader:
            super().pull_trigger()

    def _poll(self, wait: bool) -> bool:
        """Read what has come in; return whether to go on."""
        loop(timeout=1 if wait else 0, use_poll=True, map=self._map, count=1)
        return not self._ending or self._retires()

    def _retires(self) -> bool:
        """Return whether a server that retires still has a request to read or an answer to send."""
        if self._stopping:
            return False
        since = self.draining or self._stop_accepting()
        now = time.monotonic()
        self.maintenance(now)  # `readable` is not called any more
        return bool(self.active_channels) and now < since + (RETIREMENT if self._under_way() else DRAIN)

    def _under_way(self) -> bool:
        channels = list(self.active_channels.values())
        return any(c.requests or c.request or c.unread or c.total_outbufs_len for c in channels)

    def _stop_accepting(self) -> float:
        """Accept no connections, and let each answer close its own; return the time."""
        self.draining = time.monotonic()
        self.responder = None  # its answers keep their connections
        self.accepting = False
        self.del_channel()
        self.socket.close()
        return self.draining

    def _drain(self) -> None:
        """Accept what is already connected, stop listening, and answer what has arrived, for DRAIN seconds."""
        deadline = time.monotonic() + DRAIN
        if not self.draining:
            for _ in range(self.adj.backlog):
                known = len(self.active_channels)
                self.handle_accept()
                if len(self.active_channels) == known:
                    break
            with contextlib.suppress(OSError):  # macOS has no shutdown of a listening socket
                self.socket.shutdown(socket.SHUT_RDWR)  # to close it is not enough: the supervisor has it open, too
            self._stop_accepting()
        quiet_since = time.monotonic()
        while time.monotonic() < deadline:
            loop(timeout=0.05, use_poll=True, map=self._map, count=1)
            if self._under_way():
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > 0.1:  # what was still in the network has come in
                break
        self.task_dispatcher.shutdown(timeout=max(0.1, deadline - time.monotonic()))
        for channel in list(self.active_channels.values()):
            channel.handle_close()
