"""A load generator that needs nothing but Python: processes that each keep some connections busy.

Used by `bench`. On each connection one request is under way at any time (a closed loop), kept alive as browsers do.
http.client would take longer over an answer than the shop does, so sockets are read as they are.
"""

import collections
import contextlib
import dataclasses
import multiprocessing
import re
import selectors
import signal
import socket
import time
from array import array

from commands.shopper import PATIENCE, said_of
from core.system import Stop

REST = 0.1  # seconds before a connection that could not be made is tried again
START = 0.3  # seconds for the processes to come up and connect
RIGHT = (b'{"success":true', b'{"success": true')
clock = time.monotonic  # the same in all processes of a machine


@dataclasses.dataclass
class Tally:
    """What was seen: for each kind the times of answers in µs, right ones and others, and what went wrong."""

    times: dict = dataclasses.field(default_factory=lambda: collections.defaultdict(lambda: array("L")))
    errors: dict = dataclasses.field(default_factory=lambda: collections.defaultdict(collections.Counter))
    late: collections.Counter = dataclasses.field(default_factory=collections.Counter)  # answers after time was up
    refused: int = 0  # adds that were more than the stock: an answer, not an error
    busy: float = 0.0  # share of its time that the generator did not wait, of the busiest process

    def __iadd__(self, other):
        for kind, times in other.times.items():
            self.times[kind] += times
        for kind, reasons in other.errors.items():
            self.errors[kind] += reasons
        self.late += other.late
        self.refused += other.refused
        self.busy = max(self.busy, other.busy)
        return self

    def __getstate__(self):  # a defaultdict with a lambda cannot travel between processes
        return {**vars(self), "times": dict(self.times), "errors": dict(self.errors)}


def generate(address, walks, seconds, processes, meanwhile):
    """Send what the walks yield, each on a connection of its own, for so many seconds; return a Tally.

    `address`: (host, port); `walks`: iterators of (kind, request as bytes), shared out among `processes`;
    `meanwhile(start, over)` is called here while they work, with the time of their start, and may take until `over()`.
    """
    context = multiprocessing.get_context("fork")  # the walks need not travel
    start, running = clock() + START, []
    try:
        for n in range(processes):
            mine, theirs = context.Pipe(duplex=False)
            arguments = (theirs, address, walks[n::processes], start, seconds)
            process = context.Process(target=_in_process, args=arguments, daemon=True)
            process.start()
            theirs.close()
            running.append((process, mine))
        meanwhile(start, lambda: clock() >= start + seconds)
        total = Tally()
        for _, mine in running:
            total += mine.recv()
        return total
    except EOFError:
        raise Stop(
            "A process of the load generator ended before its time. Is there memory enough? Try again."
        ) from None
    finally:
        for process, mine in running:
            process.terminate()
            process.join()
            mine.close()


def _in_process(report, address, walks, start, seconds):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    report.send(drive(address, walks, start, start + seconds))


def drive(address, walks, start, until):
    """Keep one connection for each walk busy from `start` to `until` (see `clock`), or to the ends of the walks."""
    return _Loop(address, walks).run(start, until)


class _Connection:
    """A connection, and the request that is under way on it."""

    __slots__ = ("kind", "received", "request", "sent_at", "socket", "walk", "wanted")

    def __init__(self, walk):
        self.walk = walk
        self.socket = None


class _Loop:
    """One process' connections and their Tally."""

    def __init__(self, address, walks):
        self.address = address
        self.tally = Tally()
        self.under_way = set()
        self.resting = []  # [(when to try again, connection)], in this order
        self.selector = selectors.DefaultSelector()
        self.connections = [_Connection(walk) for walk in walks]

    def run(self, start, until):
        self.until = until
        for connection in self.connections:
            with contextlib.suppress(OSError):  # then it is tried, and counted, with the first request
                self._connect(connection)
        time.sleep(max(0, start - clock()))
        for connection in self.connections:
            self._next(connection)
        waited, looked = 0.0, clock()
        while self.under_way or self.resting:
            before = clock()
            ready = self.selector.select(REST)
            now = clock()
            waited += max(0, min(now, until) - before)
            for key, _ in ready:
                self._read(key.data)
            while self.resting and self.resting[0][0] <= now:
                self._next(self.resting.pop(0)[1])
            if now - looked > 0.5:
                looked = now
                for connection in [late for late in self.under_way if now - late.sent_at > PATIENCE]:
                    self._failed(connection, f"no answer within {PATIENCE} s")
        elapsed = min(clock(), until) - start
        self.tally.busy = 1 - min(1, waited / elapsed) if elapsed > 0 else 0.0
        for connection in self.connections:
            self._close(connection)
        self.selector.close()
        return self.tally

    def _connect(self, connection):
        connection.socket = socket.create_connection(self.address, PATIENCE)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.socket.setblocking(False)
        self.selector.register(connection.socket, selectors.EVENT_READ, connection)

    def _close(self, connection):
        if connection.socket:
            self.selector.unregister(connection.socket)
            connection.socket.close()
            connection.socket = None

    def _next(self, connection):
        """Send the walk's next request, unless time is up."""
        self.under_way.discard(connection)
        if clock() >= self.until:
            return
        step = next(connection.walk, None)
        if step is None:
            return
        connection.kind, connection.request = step
        connection.received, connection.wanted = b"", 0
        connection.sent_at = clock()
        try:
            if not connection.socket:
                self._connect(connection)
            connection.socket.sendall(connection.request)
        except OSError as error:
            self._failed(connection, said_of(error).lower())
        else:
            self.under_way.add(connection)

    def _read(self, connection):
        if connection.socket is None:  # given up on in this very round
            return
        try:
            data = connection.socket.recv(262144)
        except BlockingIOError:
            return
        except OSError as error:
            self._failed(connection, said_of(error).lower())
            return
        if connection not in self.under_way:  # the server closes what it kept alive
            self._close(connection)
        elif not data:
            self._failed(connection, "connection closed without an answer")
        else:
            self._take(connection, data)

    def _take(self, connection, data):
        """Take in what has come; once the answer is whole, note it and go on."""
        if connection.received:
            data = connection.received + data
        if not connection.wanted:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                connection.received = data
                return
            length = _length(data[:end].lower())
            if length is None:
                self._failed(connection, "an answer without Content-Length")
                return
            connection.wanted = end + length
        if len(data) < connection.wanted:
            connection.received = data
            return
        now = clock()
        took = int((now - connection.sent_at) * 1e6)
        if now > self.until:
            self.tally.late[connection.kind] += 1
        end = data.find(b"\r\n\r\n") + 4
        self._note(connection, took, data[9:12], data[end:])
        if b"\r\nconnection: close" in data[:end].lower():
            self._close(connection)
        self._next(connection)

    def _note(self, connection, took, status, body):
        self.tally.times[connection.kind].append(took)
        if status[:1] == b"2" and body.startswith(RIGHT):
            return
        if status == b"409" and b'"INSUFFICIENT_STOCK"' in body:
            self.tally.refused += 1
            return
        status = status.decode("latin-1")
        code = re.search(rb'"code": ?"([A-Z_]+)"', body)
        why = code[1].decode() if code else "without the shop's envelope"
        self.tally.errors[connection.kind][f"{status} {why}"] += 1

    def _failed(self, connection, why):
        """Note an error of the connection, and begin anew on another one after a rest."""
        self.tally.errors[connection.kind][why] += 1
        self.under_way.discard(connection)
        self._close(connection)
        self.resting.append((clock() + REST, connection))


def _length(head):
    """Return what a head, in lower case, says of the body's length; None where it does not."""
    _, found, rest = head.partition(b"\r\ncontent-length:")
    try:
        return int(rest.partition(b"\r\n")[0]) if found else None
    except ValueError:
        return None
