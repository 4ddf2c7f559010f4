"""waitress, with its doors closed: what it leaves open for attackers and for bad days is mended here.

- how requests are read is in core/serving/parser.py, how they are answered in core/serving/tasks.py, and what becomes
  of a connection in core/serving/channel.py;
- a request that does not arrive within REQUEST_DEADLINE seconds is cut off, however slowly it drips, and so is an
  answer that is not taken; so are, where PENDING bytes wait to be taken, those that have waited for longest;
- past QUEUE_LIMIT waiting requests, new ones get a 503 at once instead of a place in a queue without end;
- times are those of the monotonic clock: the time of day may jump;
- `stop` stops accepting, finishes what has arrived, and lets `run` return; `retire` does it so gently that no client
  notices, where another process goes on with the socket: each answer says that its connection ends, and ends it.
"""

import contextlib
import math
import socket
import sys
import threading
import time

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.wasyncore import loop

from core.contract.request_body import LARGEST_BODY
from core.serving.channel import IDLE, Channel
from core.serving.dispatcher import Dispatcher
from core.serving.tasks import Overload

CONNECTIONS = 1000  # at once, for each worker; waitress' 100 are locked by a hundred idle browsers
QUEUE_LIMIT = 256  # requests that wait for a thread, for each worker
PENDING = 128 * 1024 * 1024  # bytes that clients have not taken yet, for each worker; shared ones count for each
UPLOADS = 2  # large bodies that come in or are worked on at once, for each worker; all of each is in memory
DRAIN = 5  # seconds for what is under way when we are told to stop, and for idle connections when we retire
RETIREMENT = 300  # seconds for what is under way when we retire: an upload, and its import
LINGER = 2  # seconds that a refused client may still send before its connection is cut


class Server(TcpWSGIServer):
    """waitress' server for one listening socket. `application` is a core.serving.middleware.Middleware."""

    channel_class = Channel
    next_channel_cleanup = math.inf  # waitress' own, by the time of day; ours is below

    def __init__(self, application, listening, threads):
        settings = Adjustments(
            sockets=[listening],
            threads=threads,
            ident=None,
            connection_limit=CONNECTIONS,
            channel_timeout=IDLE,
            cleanup_interval=2,
            asyncore_use_poll=True,
            clear_untrusted_proxy_headers=False,  # core/identity/limits.py knows which proxies to believe
            max_request_header_size=64 * 1024,
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
        self.leaving = None  # since when no connections are taken, and answers close theirs
        self._told = self._stop = False  # told: to stop or to retire
        self._next_look = 0  # when `maintenance` is due
        self._uploads = threading.Lock()

    def add_task(self, task):
        """Queue a channel with a request for a thread, or turn it away."""
        request = task.requests[0]
        if not request.error and len(self.task_dispatcher.queue) >= QUEUE_LIMIT:
            request.error = Overload("Too many requests are waiting. Try again in a moment.")
        if request.error:
            task.service()  # at once: it takes no time, and may not wait behind the queue
        else:
            super().add_task(task)

    def takes_upload(self, channel):
        """Whether there is room for one more large body; if so, this channel's is counted."""
        with self._uploads:
            room = sum(other.is_uploading for other in list(self.active_channels.values())) < UPLOADS
            channel.is_uploading = channel.is_uploading or room
            return room

    def left_behind(self):
        """Look at once at what is pending, where it is too much."""
        if self._pending() > PENDING:
            self._next_look = 0

    def _pending(self):
        return sum(channel.total_outbufs_len for channel in list(self.active_channels.values()))

    def readable(self):
        """Accept more; where there is no room, let go of the connections on which nothing has moved for longest."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + self.adj.cleanup_interval
            self.maintenance(now)
        if len(self._map) >= self.adj.connection_limit:
            for channel in self._stillest()[: CONNECTIONS // 20]:
                channel.handle_close()
        return super().readable()

    def _stillest(self):
        """Return the channels that no thread works for, those first on which nothing has moved for longest."""
        waiting = [c for c in list(self.active_channels.values()) if not c.requests or c.rests]
        return sorted(waiting, key=lambda channel: channel.last_activity)

    def maintenance(self, now):
        """Close what is idle, what takes too long to say what it wants, and what does not take its answer."""
        pending = self._pending()
        for channel in self._stillest():
            request, unsent = channel.request, channel.total_outbufs_len
            idle = channel.last_activity < now - self.adj.channel_timeout
            late = channel.due < now if unsent else request and request.begun < now - request.deadline
            lingers = channel.lingering and channel.lingering < now - LINGER
            if idle or late or lingers or (unsent and pending > PENDING):
                pending -= unsent
                channel.handle_close()

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
        now = time.monotonic()
        self.maintenance(now)  # of `readable`, which nobody asks any more
        return bool(self.active_channels) and now < self.leaving + (RETIREMENT if self._under_way() else DRAIN)

    def _under_way(self):
        channels = list(self.active_channels.values())
        return any(c.requests or c.request or c.unread or c.total_outbufs_len for c in channels)

    def _leave(self):
        """Take no new connections, and let each answer close its own."""
        self.leaving = time.monotonic()
        self.responder = None  # its answers keep their connections
        self.accepting = False
        self.del_channel()
        self.socket.close()

    def _drain(self):
        """Take what has been connected already, stop listening, and answer what has arrived, for DRAIN seconds."""
        deadline = time.monotonic() + DRAIN
        if not self.leaving:
            for _ in range(self.adj.backlog):
                known = len(self.active_channels)
                self.handle_accept()
                if len(self.active_channels) == known:
                    break
            with contextlib.suppress(OSError):  # macOS knows no shutdown here
                self.socket.shutdown(socket.SHUT_RDWR)  # the watch has this socket too: to close ours is not enough
            self._leave()
        quiet_since = time.monotonic()
        while time.monotonic() < deadline:
            loop(timeout=0.05, use_poll=True, map=self._map, count=1)
            if self._under_way():
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > 0.1:  # what was on its way in the network has come in
                break
        self.task_dispatcher.shutdown(timeout=max(0.1, deadline - time.monotonic()))
        for channel in list(self.active_channels.values()):
            channel.handle_close()
