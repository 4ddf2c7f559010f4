"""Answers from memory: the same as the application gives, whatever is asked and however it comes; on real sockets."""

import contextlib
import http.client
import re
import socket
import struct
import threading
import time

import pytest
from bottle import response
from helpers import ORIGIN, as_url, eventually, servers
from raw_http import ask, connect, running

from core.app import new_app
from core.cache import REVALIDATE, Cache, Cached
from core.contract.cached_answers import CachedAnswers
from core.contract.compression import Compression
from core.contract.envelope import Envelope
from core.contract.etag import ConditionalRequests, etag_of, gzipped
from core.contract.validation import Query, Validation
from core.errors import NotFound
from core.identity.auth import PUBLIC
from core.serving import memory_responder
from core.serving import server as ours
from core.serving.cors import Cors
from core.serving.memory_responder import merged
from core.serving.middleware import Middleware

FIRST = b"GET /api/things HTTP/1.1\r\nHost: shop\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
LONG = "Käse " * 300  # it is gzipped for who accepts that
LARGE = "x" * 3_000_000  # more than the buffers of the system hold


class CountingMiddleware(Middleware):
    """Counts the requests that reach the application."""

    calls = 0

    def __call__(self, environ, start_response):
        self.calls += environ["PATH_INFO"] != "/last"
        return super().__call__(environ, start_response)


class Shop:
    """A shop of a few routes over one memory: `port` answers from it at once, `plain_port` never."""

    def __init__(self, threads=4, origins=(ORIGIN,)):
        self.cache = Cache(60, 0, 32_000_000)
        self.app = new_app()
        cached = {"auth": PUBLIC, "cache": Cached("things")}
        words = Query(page={"type": "integer"}, word={"type": "string", "maxlength": 100})
        self.app.get("/api/things", callback=self.index, query=words, **cached)
        self.app.get("/api/things/<id:id>", callback=self.show, **cached)
        self.app.get("/api/long", callback=lambda: LONG, **cached)
        self.app.get("/api/large", callback=lambda: LARGE, **cached)
        self.app.get("/api/slow", callback=self.wait, auth=PUBLIC)
        self.app.get("/last", callback=lambda: "last", auth=PUBLIC)
        for plugin in (ConditionalRequests(), CachedAnswers(self.cache), Compression(), Envelope(), Validation()):
            self.app.install(plugin)
        self.release = threading.Event()
        self._stack = contextlib.ExitStack()
        self.middleware = CountingMiddleware(self.app, Cors(origins), self.cache.answers)
        self.fast = self._stack.enter_context(running(self.middleware, threads))
        plain = self._stack.enter_context(running(Middleware(self.app, Cors(origins)), threads))
        self.port, self.plain_port = self.fast.effective_port, plain.effective_port

    @staticmethod
    def index(query):
        """List things."""
        response.set_header("Link", '</api/things?page=2>; rel="next"')
        return {"things": ["cup", "Käse"], **query}

    @staticmethod
    def show(id):
        """Show a thing."""
        response.set_header("Vary", "Authorization")
        if id == 9:
            raise NotFound()
        return {"id": id}

    def wait(self):
        """Take long."""
        self.release.wait(20)

    def close(self):
        """End."""
        self.release.set()
        self._stack.close()


@pytest.fixture(scope="module")
def shop():
    """A shop for the tests that leave it as it was."""
    with contextlib.closing(Shop()) as opened:
        yield opened


@pytest.fixture
def own_shop():
    """A shop for one test."""
    with contextlib.closing(Shop()) as opened:
        yield opened


def all_answers(port, data, pieces=None):
    """Send this, then one more request; return all that comes, as [(status line, header lines, body)]."""
    with connect(port) as connection:
        for piece in pieces or [data]:
            connection.sendall(piece)
            if pieces:
                time.sleep(0.001)  # so that each comes by itself
        received = b""
        while b"\r\n\r\n" not in received and (chunk := connection.recv(65536)):
            received += chunk
        with contextlib.suppress(OSError):  # a refusal has closed it
            connection.sendall(LAST)
            while chunk := connection.recv(65536):
                received += chunk
    return list(parsed(received, data))


def parsed(received, sent):
    """Yield what comes as (status line, header lines in order of their names, body)."""
    methods = re.findall(rb"(?:\A|\n)([A-Z]+) \S+(?: HTTP/1.\d)?\r\n", sent)
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        method = methods.pop(0) if methods and not status.startswith(b"HTTP/1.1 100") else b""
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        size = int(length[1]) if length and method != b"HEAD" else 0
        yield status, sorted(lines), received[:size]
        received = received[size:]


def without_chance(answers):
    """Leave out what differs each time: the moment, the age in memory (not whether there is one), a made-up id."""
    moving = re.compile(rb"((?:Date|Age): ).*|(X-Request-Id: )[0-9a-f]{16}\Z")
    return [(status, [moving.sub(rb"\1\2", line) for line in lines], body) for status, lines, body in answers]


def asking(line=b"GET /api/things HTTP/1.1", *headers, host=b"Host: shop", body=b""):
    """Return a request."""
    return b"\r\n".join([line, *([host] if host else []), *headers, b"", body])


FAST = {  # what may be answered at once
    "plain": asking(),
    "head": asking(b"HEAD /api/things HTTP/1.1"),
    "one thing": asking(b"GET /api/things/5 HTTP/1.1"),
    "empty host": asking(host=b"Host:"),
    "another host": asking(host=b"Host: evil.example"),
    "kept open": asking(FIRST[:24], b"Connection: keep-alive"),
    "kept Open": asking(FIRST[:24], b"Connection: Keep-Alive"),
    "closed": asking(FIRST[:24], b"Connection: close"),
    "closed among others": asking(FIRST[:24], b"Connection: TE, close"),
    "absolute form": asking(b"GET http://shop/api/things HTTP/1.1"),
    "absolute form of another": asking(b"GET http://evil.example:80/api/things HTTP/1.1"),
    "percent-encoded": asking(b"GET /api/%74hings HTTP/1.1"),
    "empty query": asking(b"GET /api/things? HTTP/1.1"),
    "fragment": asking(b"GET /api/things#there HTTP/1.1"),
    "query": asking(b"GET /api/things?page=2&word=a%20b HTTP/1.1"),
    "query in another order": asking(b"GET /api/things?word=a%20b&page=2 HTTP/1.1"),
    "known": asking(FIRST[:24], b"If-None-Match: TAG"),
    "known, asked for by head": asking(b"HEAD /api/things HTTP/1.1", b"If-None-Match: TAG"),
    "known weakly": asking(FIRST[:24], b"If-None-Match: W/TAG"),
    "known in a list": asking(FIRST[:24], b'If-None-Match: "a", W/"b" ,TAG'),
    "known in a second line": asking(FIRST[:24], b'If-None-Match: "a"', b"if-none-match: TAG"),
    "known, if there is any": asking(FIRST[:24], b"If-None-Match: *"),
    "known by another": asking(FIRST[:24], b'If-None-Match: "another"'),
    "known by nothing": asking(FIRST[:24], b"If-None-Match:"),
    "known to another origin": asking(FIRST[:24], b"Origin: http://evil.example", b"If-None-Match: TAG"),
    "known to a page": asking(FIRST[:24], f"Origin: {ORIGIN}".encode(), b"If-None-Match: TAG"),
    "id": asking(FIRST[:24], b"X-Request-ID: mine.1"),
    "id in small letters": asking(FIRST[:24], b"x-request-id: mine.1"),
    "bad id": asking(FIRST[:24], b"X-Request-ID: a b"),
    "long id": asking(FIRST[:24], b"X-Request-ID: " + b"x" * 129),
    "longest id": asking(FIRST[:24], b"X-Request-ID: " + b"x" * 128),
    "two ids": asking(FIRST[:24], b"X-Request-ID: a", b"X-Request-ID: b"),
    "empty id": asking(FIRST[:24], b"X-Request-ID:"),
    "id with an underscore": asking(FIRST[:24], b"X_Request_ID: mine"),
    "origin": asking(FIRST[:24], f"Origin: {ORIGIN}".encode()),
    "origin and its own vary": asking(b"GET /api/things/5 HTTP/1.1", f"Origin: {ORIGIN}".encode()),
    "another origin": asking(FIRST[:24], b"Origin: http://evil.example"),
    "no origin": asking(FIRST[:24], b"Origin: null"),
    "two origins": asking(FIRST[:24], f"Origin: {ORIGIN}".encode(), b"Origin: http://evil.example"),
    "folded origin": asking(FIRST[:24], b"Origin: http://front", b" .example"),
    "range": asking(FIRST[:24], b"Range: bytes=0-3"),
    "encodings": asking(FIRST[:24], b"Accept-Encoding: gzip, br"),
    "long": asking(b"GET /api/long HTTP/1.1"),
    "gzipped": asking(b"GET /api/long HTTP/1.1", b"Accept-Encoding: gzip, deflate, br, zstd"),
    "gzipped, asked for by head": asking(b"HEAD /api/long HTTP/1.1", b"Accept-Encoding: gzip"),
    "gzipped, by two lines": asking(b"GET /api/long HTTP/1.1", b"Accept-Encoding: br", b"accept-encoding: gzip;q=0.1"),
    "gzipped, to a page": asking(
        b"GET /api/long HTTP/1.1", b"Accept-Encoding: gzip", f"Origin: {ORIGIN}".encode(), b"X-Request-ID: mine"
    ),
    "gzipped and known": asking(b"GET /api/long HTTP/1.1", b"Accept-Encoding: gzip", b"If-None-Match: ZIPPED"),
    "gzipped and known by head": asking(b"HEAD /api/long HTTP/1.1", b"Accept-Encoding: gzip", b"If-None-Match: ZIPPED"),
    "gzipped and known as plain": asking(b"GET /api/long HTTP/1.1", b"Accept-Encoding: gzip", b"If-None-Match: LONG"),
    "long and known": asking(b"GET /api/long HTTP/1.1", b"If-None-Match: LONG"),
    "long and known as gzipped": asking(b"GET /api/long HTTP/1.1", b"If-None-Match: ZIPPED"),
    "gzip refused": asking(b"GET /api/long HTTP/1.1", b"Accept-Encoding: gzip;q=0, *"),
    "gzip by a star": asking(b"GET /api/long HTTP/1.1", b"Accept-Encoding: *"),
    "no coding": asking(b"GET /api/long HTTP/1.1", b"Accept-Encoding:"),
    "coding with an underscore": asking(b"GET /api/long HTTP/1.1", b"Accept_Encoding: gzip"),
    "if-match": asking(FIRST[:24], b'If-Match: "another"'),
    "modified since": asking(FIRST[:24], b"If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"),
    "bytes over 127": asking(FIRST[:24], "X-Name: Käse".encode()),
    "tabs": asking(FIRST[:24], b"X-Request-ID:\t mine \t"),
    "length 0": asking(FIRST[:24], b"Content-Length: 0"),
    "an empty line first": b"\r\n" + asking(),
    "a long one": asking(FIRST[:24], b"X-Name: " + b"x" * 3000),
    "forwarded": asking(FIRST[:24], b"X-Forwarded-For: 203.0.113.7"),
}
SLOW = {  # what the application answers, or what is refused
    "empty coding": asking(FIRST[:24], b"Transfer-Encoding:"),
    "no host": asking(host=None),
    "authorization": asking(FIRST[:24], b"Authorization: Bearer x"),
    "authorization in small letters": asking(FIRST[:24], b"authorization: Bearer x"),
    "empty authorization": asking(FIRST[:24], b"Authorization:"),
    "two authorizations": asking(FIRST[:24], b"aUTHORIZATION:", b"Authorization: Basic x"),
    "cookie": asking(FIRST[:24], b"Cookie: a=b"),
    "empty cookie": asking(FIRST[:24], b"cookie:"),
    "http/1.0": asking(b"GET /api/things HTTP/1.0"),
    "http/1.0 kept open": asking(b"GET /api/things HTTP/1.0", b"Connection: keep-alive"),
    "http/1.2": asking(b"GET /api/things HTTP/1.2"),
    "no version": asking(b"GET /api/things"),
    "options of a connection": asking(FIRST[:24], b"Connection: TE"),
    "upgrade": asking(FIRST[:24], b"Connection: upgrade", b"Upgrade: h2c"),
    "slash": asking(b"GET /api/things/ HTTP/1.1"),
    "two slashes": asking(b"GET //api/things HTTP/1.1"),
    "two slashes within": asking(b"GET /api//things HTTP/1.1"),
    "no slash": asking(b"GET api/things HTTP/1.1"),
    "dots": asking(b"GET /api/./things HTTP/1.1"),
    "other letters": asking(b"GET /API/things HTTP/1.1"),
    "unknown parameter": asking(b"GET /api/things?pages=1 HTTP/1.1"),
    "repeated parameter": asking(b"GET /api/things?page=1&page=1 HTTP/1.1"),
    "no such thing": asking(b"GET /api/things/9 HTTP/1.1"),
    "no such path": asking(b"GET /api/nothing HTTP/1.1"),
    "query with bytes": asking("GET /api/things?word=Käse HTTP/1.1".encode()),
    "nul": asking(b"GET /api/things%00 HTTP/1.1"),
    "no utf-8": asking(b"GET /api/things%ff HTTP/1.1"),
    "method in small letters": asking(b"get /api/things HTTP/1.1"),
    "another method": asking(b"DELETE /api/things HTTP/1.1"),
    "options": asking(b"OPTIONS /api/things HTTP/1.1"),
    "preflight": asking(b"OPTIONS /api/things HTTP/1.1", f"Origin: {ORIGIN}".encode()),
    "body": asking(FIRST[:24], b"Content-Length: 5", body=b"GET /"),
    "two lengths": asking(FIRST[:24], b"Content-Length: 0", b"Content-Length: 0"),
    "chunks": asking(FIRST[:24], b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
    "no chunks": asking(FIRST[:24], b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "length and chunks": asking(FIRST[:24], b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "unknown coding": asking(FIRST[:24], b"Transfer-Encoding: gzip"),
    "expects": asking(FIRST[:24], b"Expect: 100-continue"),
    "expects something": asking(FIRST[:24], b"Expect: something"),
    "two hosts": asking(FIRST[:24], b"Host: other"),
    "nul in a header": asking(FIRST[:24], b"X-Name: a\0b"),
    "line feed in a header": asking(FIRST[:24], b"X-Name: a\nAuthorization: Bearer x"),
    "space before a colon": asking(FIRST[:24], b"Authorization : Bearer x"),
    "too large": asking(FIRST[:24], b"X-Name: " + b"x" * 70_000),
    "no address": asking(b"GET http://[::1/ HTTP/1.1"),
}


def warm(shop):
    """Bring into memory what the forms ask for, and return the ETag of the list."""
    for query in (b"", b"/5", b"?page=2&word=a%20b", b"?word=a%20b&page=2"):
        found = all_answers(shop.plain_port, asking(b"GET /api/things" + query + b" HTTP/1.1"))
        assert found[0][0] == b"HTTP/1.1 200 OK"
    for coding in (b"identity", b"gzip"):
        for path in (b"", b"/5", b"?page=2&word=a%20b"):
            all_answers(
                shop.plain_port, asking(b"GET /api/things" + path + b" HTTP/1.1", b"Accept-Encoding: " + coding)
            )
        all_answers(shop.plain_port, asking(b"GET /api/long HTTP/1.1", b"Accept-Encoding: " + coding))
    return etag_of({"things": ["cup", "Käse"]}).encode()


@pytest.mark.parametrize("form", FAST | SLOW)
def test_the_answer_from_memory_is_the_one_of_the_application(shop, form):
    long = etag_of(LONG).encode()
    data = (FAST | SLOW)[form].replace(b"TAG", warm(shop)).replace(b": LONG", b": " + long)
    data = data.replace(b"ZIPPED", gzipped(long.decode()).encode())
    from_the_application = without_chance(all_answers(shop.plain_port, data))
    shop.middleware.calls = 0

    first = without_chance(all_answers(shop.port, data))
    again = without_chance(all_answers(shop.port, data))  # now by its bytes

    assert first == from_the_application
    assert again == from_the_application
    if form in FAST:
        assert shop.middleware.calls == 0
        assert any(line.startswith(b"Age: ") for line in again[0][1])
    elif first[0][0] == b"HTTP/1.1 200 OK":
        assert shop.middleware.calls == 2


def test_a_header_of_an_answer_takes_the_place_of_the_one_that_all_carry():
    own = [("Content-Security-Policy", "default-src 'self'"), ("vary", "Accept")]
    carried = [
        ("Content-Security-Policy", "default-src 'none'"),
        ("Referrer-Policy", "no-referrer"),
        ("Vary", "Origin"),
    ]

    assert merged(own, carried) == [own[0], carried[1], ("Vary", "Origin, Accept")]


def test_every_origin_gets_its_own_headers(shop):
    warm(shop)
    seen = {}
    for origin in (None, ORIGIN, "http://evil.example", None, ORIGIN, ORIGIN + ".evil.example"):
        headers = [f"Origin: {origin}".encode()] if origin else []
        _, lines, _ = all_answers(shop.port, asking(b"GET /api/things/5 HTTP/1.1", *headers))[0]
        allowed = [line for line in lines if line.startswith(b"Access-Control-Allow-Origin")]
        seen[origin] = (allowed, [line for line in lines if line.startswith(b"Vary")])

    vary = [b"Vary: Origin, Authorization"]
    assert seen.pop(ORIGIN) == ([f"Access-Control-Allow-Origin: {ORIGIN}".encode()], vary)
    assert set(map(str, seen.values())) == {str(([], vary))}


def test_where_every_origin_may_read_the_headers_are_those_of_the_application_too():
    with contextlib.closing(Shop(origins=("*",))) as shop:
        for headers in ([], [b"Origin: http://anybody.example"]):
            for path in (b"", b"/5"):
                data = asking(b"GET /api/things" + path + b" HTTP/1.1", *headers)
                all_answers(shop.plain_port, data)
                shop.middleware.calls = 0

                assert without_chance(all_answers(shop.port, data)) == without_chance(
                    all_answers(shop.plain_port, data)
                )
                assert shop.middleware.calls == 0


def test_a_request_may_come_in_two_pieces_cut_anywhere(shop):
    data = asking(FIRST[:24], b"If-None-Match: " + warm(shop), b"X-Request-ID: mine")
    whole = without_chance(all_answers(shop.plain_port, data))

    for at in range(1, len(data)):
        assert without_chance(all_answers(shop.port, data, [data[:at], data[at:]])) == whole, at


def test_a_request_may_come_byte_by_byte(shop):
    data = asking(FIRST[:24], b"X-Request-ID: mine")
    warm(shop)

    pieces = [data[at : at + 1] for at in range(len(data))]

    assert without_chance(all_answers(shop.port, data, pieces)) == without_chance(all_answers(shop.plain_port, data))


def test_what_is_sent_in_one_go_is_answered_in_its_order(shop):
    tag = warm(shop)
    forms = [FAST["plain"], SLOW["slash"], FAST["known"], SLOW["no such thing"], FAST["head"], FAST["one thing"]]
    forms = [form.replace(b"TAG", tag) for form in [*forms, *forms[::-1], SLOW["cookie"], SLOW["body"], FAST["plain"]]]
    data = b"".join(form.replace(b"\r\n", b"\r\nX-Request-ID: n%d\r\n" % n, 1) for n, form in enumerate(forms))

    answers = all_answers(shop.port, data)
    again = all_answers(shop.port, data)

    assert without_chance(answers) == without_chance(all_answers(shop.plain_port, data))
    assert without_chance(again) == without_chance(answers)
    ids = [line for _, lines, _ in answers for line in lines if line.startswith(b"X-Request-Id: n")]
    assert ids == [b"X-Request-Id: n%d" % n for n in range(len(forms))]


def test_a_client_that_waits_for_100_continue_gets_it_after_an_answer_from_memory(shop):
    warm(shop)
    waiting = b"POST /api/things HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with connect(shop.port) as connection:
        connection.sendall(SLOW["no such path"] + FAST["plain"] + waiting)
        received = b""
        while b"100 Continue" not in received:
            received += connection.recv(65536)

    assert received.count(b"HTTP/1.1 ") == 3


def test_what_was_known_by_its_bytes_is_asked_for_anew_when_it_is_out_of_memory(own_shop):
    warm(own_shop)
    all_answers(own_shop.port, FAST["plain"])
    own_shop.middleware.calls = 0
    all_answers(own_shop.port, FAST["plain"])
    before = own_shop.middleware.calls

    own_shop.cache.changed({"things"})
    answer = all_answers(own_shop.port, FAST["plain"])[0]

    assert (before, own_shop.middleware.calls) == (0, 1)
    assert answer[0] == b"HTTP/1.1 200 OK" and b"Age: 0" in answer[1]


def test_only_so_many_requests_are_known_by_their_bytes_and_all_are_answered(own_shop, monkeypatch):
    monkeypatch.setattr(memory_responder, "REQUESTS", 5)
    warm(own_shop)
    known, asked = own_shop.middleware.responder._by_bytes, [asking(FIRST[:24], b"X-N: %d" % n) for n in range(12)]

    answers = [without_chance(all_answers(own_shop.port, one)[:1]) for one in asked * 2]

    assert all(answer == answers[0] for answer in answers) and answers[0][0][0] == b"HTTP/1.1 200 OK"
    assert 0 < len(known) <= 5 and asked[-1] in known


@pytest.mark.slow
def test_the_age_counts_up_also_where_nothing_has_changed(own_shop):
    began = time.monotonic()
    tag = warm(own_shop)
    unchanged = FAST["known"].replace(b"TAG", tag)

    time.sleep(1.05)
    answers = [
        all_answers(port, data)[0]
        for port in (own_shop.port, own_shop.plain_port)
        for data in (FAST["plain"], unchanged)
    ]

    assert [status[9:12] for status, _, _ in answers] == [b"200", b"304"] * 2
    for _, lines, _ in answers:
        [age] = [int(line[5:]) for line in lines if line.startswith(b"Age: ")]
        assert 1 <= age <= time.monotonic() - began
        assert f"Cache-Control: {REVALIDATE}".encode() in lines


def test_only_a_few_heads_are_cached_with_an_answer(own_shop, monkeypatch):
    monkeypatch.setattr(own_shop.middleware.cors, "origins", frozenset(f"http://page{n}.example" for n in range(50)))
    warm(own_shop)

    for n in range(50):
        answer = all_answers(own_shop.port, asking(FIRST[:24], b"Origin: http://page%d.example" % n))[0]
        assert b"Access-Control-Allow-Origin: http://page%d.example" % n in answer[1]

    assert len(own_shop.cache.answers.peek(("/api/things", "", "identity"))[0].heads) <= 4


# Clients that take their time, and clients that do not


def test_a_client_that_does_not_read_blocks_no_others_and_takes_little_memory(own_shop):
    large = asking(b"GET /api/large HTTP/1.1")
    all_answers(own_shop.plain_port, large)
    with connect(own_shop.port, room=4096) as slow:
        slow.sendall(large * 12)  # 36 MB of answers

        others = [all_answers(own_shop.port, FAST["plain"])[0][0] for _ in range(20)]
        buffered = max(channel.total_outbufs_len for channel in list(own_shop.fast.active_channels.values()))
        slow.sendall(LAST)
        received = 0
        while chunk := slow.recv(1 << 20):
            received += len(chunk)

    assert others == [b"HTTP/1.1 200 OK"] * 20
    assert buffered < 1.1 * len(LARGE)  # one answer, and a reference at that
    assert received > 12 * len(LARGE)


@pytest.mark.slow
@pytest.mark.parametrize("requests", [1, 12])
def test_a_client_that_never_reads_is_cut_off_and_gives_its_thread_back(own_shop, requests, monkeypatch):
    monkeypatch.setattr(ours, "STALLED", 0.5)
    with connect(own_shop.port, room=4096) as slow:
        slow.sendall(asking(b"GET /api/large HTTP/1.1") * requests)
        assert eventually(lambda: own_shop.fast.active_channels)

        assert eventually(lambda: not own_shop.fast.active_channels)
    assert eventually(lambda: own_shop.fast.task_dispatcher._idle == 3)


def test_a_client_that_asks_without_end_does_not_keep_others_waiting(own_shop):
    warm(own_shop)
    stop = threading.Event()

    def flood():
        with connect(own_shop.port) as greedy:
            reading = threading.Thread(target=read_all, args=[greedy])
            reading.start()
            while not stop.is_set():
                greedy.sendall(FAST["plain"] * 200)
            greedy.shutdown(socket.SHUT_RDWR)
            reading.join(10)

    def read_all(connection):
        with contextlib.suppress(OSError):
            while connection.recv(1 << 20):
                pass

    floods = [threading.Thread(target=flood) for _ in range(2)]
    for thread in floods:
        thread.start()
    try:
        polite = [all_answers(own_shop.port, form)[0][0] for form in [FAST["plain"], SLOW["cookie"]] * 10]
    finally:
        stop.set()
        for thread in floods:
            thread.join(10)

    assert polite == [b"HTTP/1.1 200 OK"] * 20
    assert not any(thread.is_alive() for thread in floods)


def test_a_client_that_goes_away_amid_its_answers_is_no_error(own_shop, caplog):
    warm(own_shop)

    for _ in range(20):
        with connect(own_shop.port) as hasty:
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # its end is a reset
            hasty.sendall(FAST["plain"] * 150)

    assert all_answers(own_shop.port, FAST["plain"])[0][0] == b"HTTP/1.1 200 OK"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_while_all_threads_are_busy_the_memory_answers_at_once(own_shop, lag):
    warm(own_shop)
    with contextlib.ExitStack() as stack:
        for _ in range(5):  # three at work, two in the queue
            waiting = stack.enter_context(connect(own_shop.port))
            waiting.sendall(asking(b"GET /api/slow HTTP/1.1"))
        assert eventually(lambda: len(own_shop.fast.task_dispatcher.queue) == 2)

        began = time.monotonic()
        with connect(own_shop.port) as asking_memory:
            cached = ask(asking_memory, FAST["plain"])
        seconds = time.monotonic() - began
        other = all_answers(own_shop.port, SLOW["cookie"])[0]
        own_shop.release.set()

    assert cached.status == 200 and seconds < lag.bound(0.5, began)
    assert other[0] == b"HTTP/1.1 503 Service Unavailable"


def test_a_handler_that_wants_to_end_the_program_ends_its_request(own_shop, caplog):
    def leave():
        raise SystemExit("away")

    own_shop.app.get("/api/leave", callback=leave, auth=PUBLIC)

    for _ in range(6):
        answer = all_answers(own_shop.port, asking(b"GET /api/leave HTTP/1.1"))[0]
        assert answer[0] == b"HTTP/1.1 500 Internal Server Error" and b"INTERNAL_ERROR" in answer[2]
    assert all_answers(own_shop.port, FAST["plain"])[0][0] == b"HTTP/1.1 200 OK"


# The log of a real server


@pytest.fixture(scope="module")
def served_for_long(accounts, tmp_path_factory):
    """A real server with one worker that keeps its answers for an hour."""
    with servers(tmp_path_factory.mktemp("memory")) as start:
        url = as_url(accounts.application)
        yield start("--workers", "1", "--threads", "2", DATABASE_URL=url, CACHE_TTL="3600", CORS_ORIGINS=ORIGIN)


def test_an_answer_from_memory_leaves_the_line_of_any_other_in_the_log(served_for_long):
    connection = http.client.HTTPConnection("127.0.0.1", served_for_long.port, timeout=10)
    for id, method, headers in (
        ("long", "GET", {"Cookie": "a=b"}),
        ("made", "GET", {}),
        ("cached", "GET", {}),
        ("head", "HEAD", {}),
        ("known", "GET", {"If-None-Match": "*"}),
    ):
        path = "/api/products?search=secret"
        connection.request(method, path, headers={"X-Request-ID": f"line-{id}", **headers})
        connection.getresponse().read()
    connection.close()

    served_for_long.wait_for("request_id=line-known\n")
    lines = [line for line in served_for_long.log.splitlines() if "request_id=line-" in line]
    assert [re.sub(r"time=\S+Z |ms=\d+\.\d ", "", line) for line in lines] == [
        f"level=info event=request method={method} path=/api/products status={status} request_id=line-{id}"
        for id, method, status in (
            ("long", "GET", 200),
            ("made", "GET", 200),
            ("cached", "GET", 200),
            ("head", "HEAD", 200),
            ("known", "GET", 304),
        )
    ]
    assert all(re.search(r" ms=\d+\.\d ", line) for line in lines)
