"""One connection, in waitress' words a channel. No thread waits for a client; what a client does not take costs little.

- The next request of a connection begins when the last answer has been sent, even if several came together.
- What a client has not taken yet stays in memory, by reference: a page of 1.5 MB that 300 clients do not take is there
  once. Nothing of it goes to a disk, which might be full. Clients that never take it are cut off, see server.py here.
- A refusal reaches a client that still sends: the connection is closed once that has been read and thrown away.
"""

import contextlib
import math
import socket
import time
from collections import deque
from typing import Any

from waitress.channel import HTTPChannel

from core import logs
from core.serving.memory_responder import Lookup
from core.serving.parser import Parser
from core.serving.task import HeadersTask, Overload, Refusal, Task

IDLE = 60  # seconds that a connection may rest after an answer, where there is plenty of room
STALLED = 20  # seconds that it may rest where there is not, or before its first request, or without taking its answer
SLOWEST = 4 * 1024  # bytes a second that a client has to take of its answer, after STALLED seconds


class _Pending:
    """What a client has not taken yet: references, no copies. It takes the place of waitress' output buffer."""

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, data: bytes | memoryview) -> None:
        self._pieces.append(memoryview(data))
        self._size += len(data)

    def get(self, most: int) -> memoryview:
        return self._pieces[0][:most]

    def skip(self, taken: int, _: bool) -> None:
        left = self._pieces[0][taken:]
        if left:
            self._pieces[0] = left
        else:
            self._pieces.popleft()
        self._size -= taken

    def close(self) -> None:
        self._pieces.clear()
        self._size = 0


class Channel(HTTPChannel):
    """A connection of a core.serving.server.Server.

    While `requests` holds a request, the channel belongs to a serving thread; otherwise to the thread that reads.
    """

    parser_class = Parser
    request: Parser | None  # it is coming in
    unread = b""  # what has come in after the request that is under way
    due = math.inf  # when all that is pending must have been taken
    is_known = False  # it has sent a request
    is_uploading = False  # a large body is coming in, or being worked on
    refused = False  # the answer is a refusal
    lingering: float | None = None  # since when the last answer is sent, and what still comes in is thrown away
    paused = False  # the rest of the answer is made when the client has taken what is pending
    _task: Task | Refusal | None = None  # the one that is paused

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.outbufs = [_Pending()]

    def add_channel(self, map: dict[int, Any] | None = None) -> None:
        """Begin to be watched."""
        super().add_channel(map)
        self.server.poller.look_at(self)

    def del_channel(self, map: dict[int, Any] | None = None) -> None:
        """Be watched no more."""
        number = self._fileno
        super().del_channel(map)
        self.server.poller.forget(number)

    @property
    def last_activity(self) -> float:
        """When something came in or was sent, by the monotonic clock."""
        return self._last_activity

    @last_activity.setter
    def last_activity(self, _: float) -> None:
        """Note that it is now. waitress gives the time of day, which may jump."""
        self._last_activity = time.monotonic()

    def readable(self) -> bool:
        """Return whether to read on: not before all that has come in is answered, and the answers are taken."""
        return not (
            self.requests or self.total_outbufs_len or self.unread or self.will_close or self.close_when_flushed
        )

    def writable(self) -> Any:
        """Return something true if there is something to do when the client takes more."""
        return (
            self.total_outbufs_len
            or self.will_close
            or self.close_when_flushed
            or self.paused
            or (self.unread and not self.requests)
        )

    def received(self, data: bytes) -> None:
        """Answer what has come in, or store it until its turn comes."""
        if self.lingering or self.will_close:
            return
        responder = self.server.responder
        begins = self.request is None
        lookup = responder.known(data) if responder and begins else None
        if not (lookup and self._answer_from_memory(lookup)):
            self.unread = data
            self._parse(whole=data if begins else None)

    def _parse(self, whole: bytes | None = None) -> None:
        """Parse `unread`, until an answer cannot be sent at once. `whole`: `unread`, if a request begins with it."""
        while self.unread and self.connected and not (self.requests or self.total_outbufs_len or self.will_close):
            request = self.request = self.request or self.parser_class(self.adj)
            self.unread = self.unread[request.received(self.unread) :]
            if request.completed:
                self.request = None
                if request.empty:  # two line ends; they begin the next request, lest they come without end
                    self.request = self.parser_class(self.adj)
                    self.request.begun = request.begun
                else:
                    self._start(request, None if self.unread else whole)
            elif request.is_upload and not request.is_started:
                request.is_started = True
                self._start(request)
            elif request.expect_continue and request.headers_finished:
                self.send_continue()
                self._note_sent()
            whole = None

    def _start(self, request: Parser, whole: bytes | None = None) -> None:
        """Answer from memory, or queue for a serving thread. `whole`: all that came in one read, if it is this."""
        responder = self.server.responder
        lookup = responder.lookup(request) if responder and request.completed else None
        if lookup and whole:
            responder.learn(whole, lookup)
        if not (lookup and self._answer_from_memory(lookup)):
            self.is_known = True
            self.requests = [request]
            self.server.add_task(self)

    def _answer_from_memory(self, lookup: Lookup, stale: bool = False) -> bool:
        """Answer from memory; return whether that could be done. `stale`: also with what is out of date."""
        answer = self.server.responder.answer(lookup, stale)
        if answer is None:
            return False
        self.is_known = True
        head, body = answer
        sent = self.send(head + body)
        if sent < len(head) + len(body) and self.connected:  # the rest is sent when the socket takes more
            for piece in (memoryview(head)[sent:], memoryview(body)[max(0, sent - len(head)) :]):
                if piece:
                    self.outbufs[0].append(piece)
                    self.total_outbufs_len += len(piece)
            self._note_sent()
        if lookup.closes:
            self.unread, self.close_when_flushed = b"", True
        return True

    def service(self) -> None:
        """Answer the request, or go on with its answer: on a serving thread; a refusal on the thread that reads."""
        request = self.requests[0]
        kind = Refusal if request.error else Task if request.completed else HeadersTask
        task = self._task or kind(self, request)
        logs.SERVING.set(task.environ)  # None at first; of an answer that goes on, another thread may have begun it
        if self.connected:
            task.service()
        else:
            task.close()
        self._note_sent()
        if task.paused:
            self._task = task
            self.paused = True
        else:
            self._task = None
            if task.close_on_finish:
                self.unread, self.request = b"", None
                self.close_when_flushed = True
            if self.request is not request:
                request.close()
                self.is_uploading = False
            self.requests = []  # from here on, the channel belongs to the thread that reads
        logs.SERVING.set(None)
        self.server.look_at(self)

    def write_soon(self, data: bytes) -> int:
        """Send a part of an answer; what the client does not take now is sent when it does."""
        size = super().write_soon(data)
        if self.total_outbufs_len:
            self.server.look_at(self)
        return size

    def cancel(self) -> None:
        """Close without an answer."""
        super().cancel()
        self.server.look_at(self)

    def refuse(self) -> None:
        """Answer that no thread was free in time, or with what is in memory and out of date; on any thread."""
        request, responder = self.requests[0], self.server.responder
        may_be_stale = responder and request.completed and self.connected
        lookup = responder.lookup(request, stale=True) if may_be_stale else None
        if lookup and self._answer_from_memory(lookup, stale=True):
            request.close()
            self.requests = []
            self.server.look_at(self)
            return
        request.error = Overload("Too many requests are waiting. Try again in a moment.")
        self.service()

    def _note_sent(self) -> None:
        """Note when the client must have taken what is pending."""
        self.last_activity = time.monotonic()
        if self.total_outbufs_len:
            self.due = self.last_activity + STALLED + self.total_outbufs_len / SLOWEST
            self.server.check_pending()

    def handle_write(self) -> None:
        """Send what is pending; after that close, or go on with the answer or the next request."""
        if (self.refused or self.server.draining) and self.close_when_flushed and not self.will_close:
            self._close_in_two_steps()
            return
        super().handle_write()
        if self.connected and not self.total_outbufs_len:
            if self.paused:
                self.paused = False
                self.server.task_dispatcher.add_task(self, begun=True)
            else:
                self._parse()

    def _close_in_two_steps(self) -> None:
        """Close for sending first: close() with bytes unread is a reset, and the client would lose the answer."""
        self._flush_exception(self._flush_some)
        if self.connected and not self.total_outbufs_len and not self.will_close:
            self.close_when_flushed = False
            self.lingering = time.monotonic()
            with contextlib.suppress(OSError):  # the client has closed already
                self.socket.shutdown(socket.SHUT_WR)

    def handle_close(self) -> None:
        """Close, and end the answer that is paused."""
        super().handle_close()
        if self.paused and self._task:
            self.paused = False
            self._task.close()
