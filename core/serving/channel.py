"""One connection. Nothing here waits for a client, and what a client does not take costs little.

- The next request of a connection begins when the last answer has left, whatever has been sent in one go.
- What a client has not taken yet stays in memory, by reference: a page of 1.5 MB that 300 clients do not take is there
  once. Nothing of it goes to a disk, which might be full. What does not shrink is cut off, see core/serving/server.py.
- A refusal is not lost where the client still sends: its connection is closed once that has been thrown away.
"""

import collections
import contextlib
import socket
import time

from waitress.channel import HTTPChannel

from core.serving.parser import Parser
from core.serving.tasks import Inquiry, Refusal, Task

IDLE = 60  # seconds that a connection may do nothing
SLOWEST = 4 * 1024  # bytes a second that a client takes of its answer, after IDLE seconds


class _Pending:
    """What a client has not taken yet: references, no copies. In waitress' words a buffer."""

    def __init__(self):
        self._pieces = collections.deque()
        self._size = 0

    def __len__(self):
        return self._size

    def append(self, data):
        self._pieces.append(memoryview(data))
        self._size += len(data)

    def get(self, most):
        return self._pieces[0][:most]

    def skip(self, taken, _):
        left = self._pieces[0][taken:]
        if left:
            self._pieces[0] = left
        else:
            self._pieces.popleft()
        self._size -= taken

    def close(self):
        self._pieces.clear()
        self._size = 0


class Channel(HTTPChannel):
    """A connection of a core.serving.server.Server.

    While `requests` holds a request, it is a serving thread's; otherwise it is the thread's that reads the sockets.
    """

    parser_class = Parser
    unread = b""  # what has come in behind the request that is under way
    due = None  # when what is pending must have left
    is_uploading = False  # a large body is coming in, or being worked on
    refused = False  # the answer is a refusal
    lingering = None  # since when the last answer is out, and what still comes in is thrown away
    rests = False  # the answer goes on when what is pending has left
    _task = None  # how

    def __init__(self, server, sock, addr, adj, map=None):
        super().__init__(server, sock, addr, adj, map)
        self.outbufs = [_Pending()]

    @property
    def last_activity(self):
        """When something came in or left, by the monotonic clock. waitress writes the time of day, which may jump."""
        return self._last_activity

    @last_activity.setter
    def last_activity(self, _):
        """Note that it is now."""
        self._last_activity = time.monotonic()

    def readable(self):
        """Whether to read on: not before all that has come in is answered, and the answers have left."""
        return not (
            self.requests or self.total_outbufs_len or self.unread or self.will_close or self.close_when_flushed
        )

    def writable(self):
        """Whether there is something to do when the client takes more."""
        return (
            self.total_outbufs_len
            or self.will_close
            or self.close_when_flushed
            or self.rests
            or (self.unread and not self.requests)
        )

    def received(self, data):
        """Answer what has come in, or keep it for when its turn comes."""
        if self.lingering or self.will_close:
            return
        responder = self.server.responder
        begins = self.request is None
        wanted = responder.known(data) if responder and begins else None
        if not (wanted and self.answer_at_once(wanted)):
            self.unread = data
            self._read_on(whole=data if begins else None)

    def _read_on(self, whole=None):
        """Read requests, until an answer does not leave at once. `whole`: `unread`, if it is a read that begins one."""
        while self.unread and self.connected and not (self.requests or self.total_outbufs_len or self.will_close):
            request = self.request = self.request or self.parser_class(self.adj)
            self.unread = self.unread[request.received(self.unread) :]
            if request.completed:
                self.request = None
                if not request.empty:
                    self._begin(request, None if self.unread else whole)
            elif request.is_upload and not request.is_asked:
                request.is_asked = True
                self._begin(request)
            elif request.expect_continue and request.headers_finished:
                self.send_continue()
                self._left()
            whole = None

    def _begin(self, request, whole=None):
        """Answer from memory, or hand over to a serving thread. `whole`: all that came in one read, if it is this."""
        responder = self.server.responder
        wanted = responder.wanted(request) if responder and request.completed else None
        if wanted and whole:
            responder.learn(whole, wanted)
        if not (wanted and self.answer_at_once(wanted)):
            self.requests = [request]
            self.server.add_task(self)

    def answer_at_once(self, wanted):
        """Answer from memory, on the thread that reads the sockets; return whether that could be done."""
        answer = self.server.responder.answer(wanted)
        if answer is None:
            return False
        head, body = answer
        sent = self.send(head + body)
        if sent < len(head) + len(body) and self.connected:  # the rest leaves when the socket takes more
            for piece in (memoryview(head)[sent:], memoryview(body)[max(0, sent - len(head)) :]):
                if piece:
                    self.outbufs[0].append(piece)
                    self.total_outbufs_len += len(piece)
            self._left()
        return True

    def service(self):
        """Answer the request, or go on with its answer; on a serving thread, or for a refusal on the one that reads."""
        request = self.requests[0]
        kind = Refusal if request.error else Task if request.completed else Inquiry
        task = self._task or kind(self, request)
        if self.connected:
            task.service()
        else:
            task.close()
        self._left()
        if task.rests:
            self._task = task
            self.rests = True
        else:
            self._task = None
            if task.close_on_finish:
                self.unread, self.request = b"", None
                self.close_when_flushed = True
            if self.request is not request:
                request.close()
                self.is_uploading = False
            self.requests = []  # from here on, this is the reading thread's
        self.server.pull_trigger()

    def _left(self):
        """Note what an answer has left behind, and when that must have left."""
        self.last_activity = time.monotonic()
        if self.total_outbufs_len:
            self.due = self.last_activity + IDLE + self.total_outbufs_len / SLOWEST
            self.server.left_behind()

    def handle_write(self):
        """Send what is pending; when that has left, close, or go on: with the answer, or with the next request."""
        if (self.refused or self.server.leaving) and self.close_when_flushed and not self.will_close:
            self._close_in_two_steps()
            return
        super().handle_write()
        if self.connected and not self.total_outbufs_len:
            if self.rests:
                self.rests = False
                self.server.task_dispatcher.add_task(self)
            else:
                self._read_on()

    def _close_in_two_steps(self):
        """Close unforeseen: with bytes unread, close() resets, and the client loses the answer."""
        self._flush_exception(self._flush_some)
        if self.connected and not self.total_outbufs_len and not self.will_close:
            self.close_when_flushed = False
            self.lingering = time.monotonic()
            with contextlib.suppress(OSError):  # the client was faster
                self.socket.shutdown(socket.SHUT_WR)

    def handle_close(self):
        """Close, and forget the answer that rests."""
        super().handle_close()
        if self.rests:
            self.rests = False
            self._task.close()
