"""Clients that do not read, disks that are full, clocks that jump: no other client notices; on real sockets."""

import contextlib
import pathlib
import re
import socket
import tempfile
import threading
import time

import pytest
from helpers import as_url, eventually
from raw_http import ask, connect, plain, read, rest, usage_of

from core.serving import channel
from core.serving import server as serving

GET = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
BUNDLE = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: shop\r\n\r\n"
LARGE = 12_000_000  # bytes, more than the buffers of the system hold
ROOM = 4096  # bytes that the system takes for a client that does not read


class Answering:
    """An application that answers with so many bytes, and notes how often it did and whether it was left."""

    def __init__(self, size, part=None):
        self.size, self.part = size, part
        self.calls = self.made = 0
        self.ended = threading.Event()

    def __call__(self, environ, start_response):
        """Answer as one piece, or in parts of so many bytes, without saying how many there are."""
        if environ["PATH_INFO"] == "/last":
            return plain(environ, start_response)
        self.calls += 1
        if self.part is None:
            start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(self.size))])
            return [b"x" * self.size]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return self._parts()

    def _parts(self):
        try:
            while self.made < self.size:
                self.made += self.part
                yield b"x" * self.part
        finally:
            self.ended.set()


def pending(server):
    """Return how many bytes wait on all connections."""
    return sum(channel.total_outbufs_len for channel in list(server.active_channels.values()))


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/fd").exists(), reason="looks into /proc")
def test_clients_that_ask_for_much_and_read_nothing_block_no_others(start, accounts):
    real = start("--workers", "1", "--threads", "4", DATABASE_URL=as_url(accounts.application))
    real.request("/docs/swagger-ui-bundle.js")
    memory, files = usage_of(real)
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(connect(real.port, ROOM)).sendall(BUNDLE * 16)

        statuses = [real.request(path).status for path in ["/api/health", "/api/products", "/api/categories"] * 5]
        more_memory, more_files = usage_of(real)

    assert statuses == [200] * 15
    assert more_memory - memory < 40  # MB; one answer of each connection would be 90
    assert more_files == files  # those of the locks


@pytest.mark.slow
def test_the_next_request_begins_when_the_last_answer_has_left(serve_here):
    application = Answering(LARGE)
    server = serve_here(application, 2)

    with connect(server.effective_port, ROOM) as slow:
        slow.sendall(GET * 5 + LAST)
        assert eventually(lambda: pending(server))
        time.sleep(0.5)
        calls, waiting = application.calls, pending(server)
        received = sum(len(chunk) for chunk in iter(lambda: slow.recv(1 << 20), b""))

    assert calls == 1
    assert waiting <= LARGE
    assert application.calls == 5 and received > 5 * LARGE


def test_many_requests_sent_at_once_are_all_answered_in_order(serve_here):
    def echo(environ, start_response):
        body = environ["PATH_INFO"].encode() * 100_000
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    with connect(serve_here(echo, 3).effective_port) as connection:
        connection.sendall(b"".join(b"GET /%03d HTTP/1.1\r\nHost: shop\r\n\r\n" % n for n in range(100)) + LAST)
        received = rest(connection)

    bodies = re.sub(rb"HTTP/1.1 200 OK\r\n.*?\r\n\r\n", b"", received, flags=re.S)
    assert bodies == b"".join(b"/%03d" % n * 100_000 for n in range(100)) + b"/last" * 100_000


@pytest.mark.slow
def test_an_answer_that_is_made_while_it_is_sent_blocks_no_thread_when_its_client_does_not_read(serve_here):
    application = Answering(40_000_000, 100_000)
    server = serve_here(application, 2)

    with contextlib.ExitStack() as stack:
        slow = stack.enter_context(connect(server.effective_port, ROOM))
        slow.sendall(GET)
        assert eventually(lambda: pending(server))
        for _ in range(5):
            with connect(server.effective_port) as other:
                assert ask(other, LAST).body == b"ok"
        made = application.made
        received = b"".join(iter(lambda: slow.recv(1 << 20), b""))

    assert made < 25_000_000  # the buffers of the system, and not much more
    assert application.ended.is_set()
    body = re.sub(rb"\r\n186A0\r\n|\r\n0\r\n\r\n", b"", received.partition(b"\r\n\r\n")[2].removeprefix(b"186A0\r\n"))
    assert body == b"x" * 40_000_000


def test_an_answer_whose_client_goes_away_is_not_made_to_its_end(serve_here):
    application = Answering(400_000_000, 100_000)
    server = serve_here(application, 2)

    with connect(server.effective_port, ROOM) as hasty:
        hasty.sendall(GET)
        assert eventually(lambda: pending(server))

    assert application.ended.wait(20)
    assert application.made < 100_000_000


# What is cut off


@pytest.mark.slow
def test_a_client_that_takes_an_answer_very_slowly_is_cut_off(serve_here, monkeypatch):
    monkeypatch.setattr(channel, "STALLED", 1)
    monkeypatch.setattr(channel, "SLOWEST", 10_000_000)
    server = serve_here(Answering(LARGE), 2)

    with connect(server.effective_port, ROOM) as slow:
        slow.sendall(GET)
        assert eventually(lambda: pending(server))
        deadline = time.monotonic() + 30
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline and server.active_channels:
                slow.recv(1000)  # it is never idle
                time.sleep(0.01)

        assert not server.active_channels


@pytest.mark.slow
def test_a_client_that_takes_nothing_of_an_answer_is_cut_off_long_before_one_that_rests(serve_here, monkeypatch, lag):
    monkeypatch.setattr(serving, "STALLED", 1)
    server = serve_here(Answering(LARGE), 2)

    with connect(server.effective_port, ROOM) as slow:
        slow.sendall(GET)
        assert eventually(lambda: pending(server))
        began = time.monotonic()

        assert eventually(lambda: not server.active_channels)
        assert 0.5 < time.monotonic() - began < lag.bound(4, began)


@pytest.mark.slow
def test_where_too_much_is_pending_the_clients_that_have_not_read_for_longest_are_cut_off(serve_here, monkeypatch):
    monkeypatch.setattr(serving, "PENDING", 3 * LARGE)
    server = serve_here(Answering(LARGE), 2)

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server.effective_port, ROOM)) for _ in range(8)]
        for client in clients:
            client.sendall(GET)
            assert eventually(lambda client=client: peeked(client))  # in their order
        assert eventually(lambda: pending(server) <= 3 * LARGE)
        received = [sum(len(chunk) for chunk in chunks_of(client)) for client in clients]

    assert received[0] < LARGE < received[-1]


def peeked(client):
    """Whether something has come."""
    return client.recv(1, socket.MSG_PEEK)


def chunks_of(client):
    """Yield what comes, to an answer's end or until it breaks off."""
    taken = 0
    with contextlib.suppress(OSError):
        while taken < LARGE and (chunk := client.recv(1 << 20)):
            taken += len(chunk)
            yield chunk


def test_when_all_places_are_taken_by_clients_that_do_not_read_the_idlest_make_room(serve_here, monkeypatch):
    monkeypatch.setattr(serving, "CONNECTIONS", 20)
    server = serve_here(Answering(LARGE), 2)

    with contextlib.ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(connect(server.effective_port, ROOM)).sendall(GET)
        assert eventually(lambda: pending(server) > 10 * LARGE)
        answers = []

        def is_answered():
            with contextlib.suppress(ConnectionError), connect(server.effective_port) as newcomer:
                answers.append(ask(newcomer, LAST).body)  # while the others still come in, it may be the idlest
            return answers

        assert eventually(is_answered)

    assert answers == [b"ok"]


# Disks


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="needs a device that is full")
def test_an_answer_that_is_not_taken_at_once_needs_no_disk(serve_here, monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda mode: open("/dev/full", mode, buffering=0))  # noqa: SIM115
    server = serve_here(Answering(LARGE), 2)

    with connect(server.effective_port, ROOM) as slow:
        slow.sendall(GET)
        assert eventually(lambda: pending(server))
        answer = read(slow)

    assert len(answer.body) == LARGE


FULL = OSError(28, "No space left on device")
KNOWN = [("Content-Length", "1000")]


@pytest.mark.parametrize(("problem", "length"), [(FULL, []), (FULL, KNOWN), (None, KNOWN)])
def test_an_answer_that_breaks_off_is_closed_and_logged(serve_here, caplog, problem, length):
    def breaking(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), *length])
        yield b"the first part"
        if problem:
            raise problem

    with connect(serve_here(breaking, 2).effective_port) as connection:
        connection.sendall(GET)
        received = rest(connection)

    assert b"the first part" in received and not received.endswith(b"0\r\n\r\n")
    assert "No space left" in caplog.text if problem else "instead of 1000" in caplog.text


# Clocks


@pytest.fixture
def clock(monkeypatch):
    """`clock(seconds)`: let the time of day jump."""
    jumps, real = [0], time.time
    monkeypatch.setattr(time, "time", lambda: real() + sum(jumps))
    return jumps.append


@pytest.mark.slow
def test_after_a_jump_back_of_the_clock_idle_connections_are_still_closed(serve_here, clock):
    server = serve_here(plain)
    server.adj.channel_timeout = 0.5

    with connect(server.effective_port) as idle:
        assert ask(idle, GET).status == 200
        clock(-86_400)
        idle.settimeout(15)

        assert rest(idle) == b""


@pytest.mark.slow
def test_a_jump_ahead_of_the_clock_cuts_off_no_connection(serve_here, clock):
    server = serve_here(plain)

    with connect(server.effective_port) as resting, connect(server.effective_port) as asking:
        assert ask(resting, GET).status == 200
        asking.sendall(GET[:10])
        assert eventually(lambda: len(server.active_channels) == 2)
        clock(86_400)
        time.sleep(3)  # in which it looks for those who are late

        assert ask(asking, GET[10:]).status == 200
        assert ask(resting, GET).status == 200
