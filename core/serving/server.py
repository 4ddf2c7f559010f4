"""waitress' server, with the limits that it lacks against attackers and broken clients.

- parser.py reads requests strictly, task.py answers them, channel.py holds a connection; this file holds all of them
  together, and holds the limits of a worker.
- A request that does not arrive within REQUEST_DEADLINE seconds is cut off, however slowly it drips. So is an answer
  that the client does not take; and where more than PENDING bytes wait to be taken, those that have waited longest.
- A request that waits too long for a thread gets a 503 from the thread that reads, see dispatcher.py. That thread also
  answers the routes that declare `at_once`: the health of the process is told while all others hang.
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
from typing import Any

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from core.contract.request_body import LARGEST_BODY
from core.serving.channel import IDLE, STALLED, Channel
from core.serving.dispatcher import Dispatcher
from core.serving.middleware import Middleware
from core.serving.poller import Poller

# For each worker:
CONNECTIONS = 1000  # at once; waitress' 100 are used up by a hundred idle browsers
ACCEPTED = 32  # connections between two looks at all of them
CROWD = 200  # connections; with so many in the last IDLE seconds, one may rest for STALLED between two requests only
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
        dispatcher = Dispatcher(threads, application.queue_timeout)
        known: dict[int, Channel] = {}
        place = (listening.family, listening.type, listening.proto, listening.getsockname())
        super().__init__(
            application, known, True, listening, dispatcher=dispatcher, adj=settings, sockinfo=place, bind_socket=False
        )
        self.poller = Poller(known)
        self.responder = application.responder
        self._immediate = application.immediate
        self.middleware = application  # waitress may wrap its own `application`
        self.draining: float | None = None  # since when no connections are accepted, and answers close theirs
        self._stopping = False  # `stop` was called
        self._ending = False  # `stop` or `retire` was called
        self._next_maintenance = 0.0
        self._crowded_until = 0.0
        self._uploads = threading.Lock()

    def add_task(self, task: Channel) -> None:
        """Queue a channel with a request for a thread, or answer it at once, where that takes no time."""
        request = task.requests[0]
        if request.error or (request.command, request.path) in self._immediate:
            task.service()
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

    def _make_room(self) -> None:
        """Close who is late, and where there is no room, the connections that are idle for longest.

        Not while `poll` is at work: it would take an event of a closed socket for one of a new socket with its number.
        """
        now = time.monotonic()
        if now >= self._next_maintenance:
            self._next_maintenance = now + self.adj.cleanup_interval
            self.maintenance(now)
        if len(self._map) >= self.adj.connection_limit:
            for channel in self._idlest_first()[: CONNECTIONS // 20]:
                channel.handle_close()

    def handle_accept(self) -> None:
        """Accept what has come, ACCEPTED at once: the time that a connection waits in the system is not counted."""
        for _ in range(ACCEPTED):
            known = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == known:
                break

    def _idlest_first(self) -> list[Channel]:
        """Return the channels that no thread works for."""
        waiting = [c for c in list(self.active_channels.values()) if not c.requests or c.paused]
        return sorted(waiting, key=lambda channel: channel.last_activity)

    def maintenance(self, now: float) -> None:
        """Close the connections that are idle, that take too long to send a request, or that do not take an answer."""
        pending = self._pending()
        if len(self._map) >= CROWD:
            self._crowded_until = now + IDLE  # or those who came last would rest long, once the first are cut off
        rest = STALLED if now < self._crowded_until else self.adj.channel_timeout
        for channel in self._idlest_first():
            request, unsent = channel.request, channel.total_outbufs_len
            rests = channel.is_known and not unsent
            idle = channel.last_activity < now - (rest if rests else STALLED)
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

    def look_at(self, channel: Channel) -> None:
        """Let the thread that reads look at what a channel waits for now; on any thread."""
        self.poller.look_at(channel)
        self.pull_trigger()

    def del_channel(self, map: dict[int, Any] | None = None) -> None:
        """Forget the listening socket."""
        number = self._fileno
        super().del_channel(map)
        self.poller.forget(number)

    def close(self) -> None:
        """Close the listening socket, and what watches all of them."""
        super().close()
        self.poller.close()

    def _poll(self, seconds: float) -> bool:
        """Read what has come in, for which it waits so long; return whether to go on."""
        self.poller.look_at(self)  # whether it accepts goes by the number of connections
        self.poller.poll(seconds)
        self._make_room()
        return not self._ending or self._retires()

    def _retires(self) -> bool:
        """Return whether a server that retires still has a request to read or an answer to send."""
        if self._stopping:
            return False
        since = self.draining or self._stop_accepting()
        now = time.monotonic()
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
            for _ in range(self.adj.backlog // ACCEPTED):
                self.handle_accept()
            with contextlib.suppress(OSError):  # macOS has no shutdown of a listening socket
                self.socket.shutdown(socket.SHUT_RDWR)  # to close it is not enough: the supervisor has it open, too
            self._stop_accepting()
        quiet_since = time.monotonic()
        while time.monotonic() < deadline:
            self.poller.poll(0.05)
            self.task_dispatcher.shed()
            if self._under_way():
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > 0.1:  # what was still in the network has come in
                break
        self.task_dispatcher.shutdown(timeout=max(0.1, deadline - time.monotonic()))
        for channel in list(self.active_channels.values()):
            channel.handle_close()
