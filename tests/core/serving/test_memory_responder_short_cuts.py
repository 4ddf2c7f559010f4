"""Answers from memory against those of the application: whatever comes in, in whatever pieces, the same is sent.

Two servers over one memory get the same bytes, piece by piece, on interleaved connections: one may answer from memory,
the other never does. SHORT_WAY_SEED repeats a run that has failed, SHORT_WAY_ROUNDS makes a longer one.
"""

import collections
import os
import random
import re
import socket
import threading

import pytest
from bottle import response
from helpers import ORIGIN

from core.app import new_app
from core.cache import Cache, Cached
from core.contract.cached_answers import CachedAnswers
from core.contract.compression import Compression
from core.contract.envelope import Envelope
from core.contract.etag import ConditionalRequests, etag_of, gzipped
from core.contract.validation import Query, Validation
from core.identity.auth import PUBLIC
from core.serving.cors import Cors
from core.serving.middleware import Middleware
from core.serving.server import Server

ROUNDS = int(os.environ.get("SHORT_WAY_ROUNDS", "3000"))  # of about 10 requests
MOVING = re.compile(rb"(?m)^((?:Date|Age): )[^\r\n]*|^(X-Request-Id: )[0-9a-f]{16}(?=\r?$)")


class CountingMiddleware(Middleware):
    """Counts the requests that reach the application."""

    calls = 0

    def __call__(self, environ, start_response):
        self.calls += 1
        return super().__call__(environ, start_response)


class Inline:
    """A dispatcher that has no threads: tasks wait until the test does them."""

    def __init__(self):
        self.queue = collections.deque()
        self.leader = threading.get_ident()

    def add_task(self, task):
        """Keep it."""
        self.queue.append(task)


class Driven:
    """A real server whose reading and answering the test does step by step, so that each piece is a read by itself."""

    def __init__(self, middleware):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.server = Server(middleware, self._listening, 2)
        self.server.task_dispatcher = Inline()

    def connect(self):
        """Return a client's end of a new connection."""
        client, ours = socket.socketpair()
        client.setblocking(False)
        self.server.channel_class(self.server, ours, ("127.0.0.1", 1), self.server.adj, map=self.server._map)
        return client

    def turn(self):
        """Read what has come in, and answer it."""
        queue, server = self.server.task_dispatcher.queue, self.server
        while True:
            server.poller.poll(0)
            if queue:
                queue.popleft().service()
            elif not any(channel.writable() for channel in server.active_channels.values()):
                return

    def close(self):
        """End."""
        for channel in list(self.server.active_channels.values()):
            channel.handle_close()
        self.server.close()


class Pair:
    """Connections to both servers, which get the same bytes."""

    def __init__(self, short, long):
        self.ends = [(driven, driven.connect()) for driven in (short, long)]
        self.received = [b"", b""]

    def send(self, piece):
        """Send this to both, and take what comes."""
        for n, (driven, client) in enumerate(self.ends):
            try:
                client.sendall(piece)
            except OSError:  # a refusal has closed it
                continue
            driven.turn()
            self.received[n] += read(client)

    def close(self):
        """Close both."""
        for driven, client in self.ends:
            client.close()
            driven.turn()


def read(client):
    """Return what is there."""
    received = b""
    try:
        while chunk := client.recv(1 << 20):
            received += chunk
    except OSError:  # there is no more, or it was reset
        pass
    return received


def thing(id):
    """Return a thing: from the sixth on, it is gzipped for who accepts that."""
    return {"id": id, "about": "Warm or cool light. " * 10 * id}


def leaving(received):
    """Return what has left as [(status line, header lines in order of their names, body)], but for what moves."""
    answers = []
    for answer in re.split(rb"(?=HTTP/1\.[01] \d{3} )", received):
        head, _, body = MOVING.sub(rb"\1\2", answer).partition(b"\r\n\r\n")
        answers.append((sorted(head.split(b"\r\n")), body))
    return answers


@pytest.fixture
def both():
    """A server that may answer from memory, and one that never does."""
    app, cache = new_app(), Cache(3600, 0, 32_000_000)
    words = Query(page={"type": "integer"}, word={"type": "string", "maxlength": 100})

    def show(id):
        """Show a thing."""
        response.set_header("Vary", "Authorization")
        return thing(id)

    def index(query):
        """List the things."""
        return {"list": query, "things": [thing(id) for id in range(1, 9)]}

    app.get("/api/things", callback=index, auth=PUBLIC, cache=Cached("things"), query=words)
    app.get("/api/things/<id:id>", callback=show, auth=PUBLIC, cache=Cached("things"))
    app.get("/api/plain", callback=lambda: "plain", auth=PUBLIC)
    for plugin in (ConditionalRequests(), CachedAnswers(cache), Compression(), Envelope(), Validation()):
        app.install(plugin)
    servers = [Driven(CountingMiddleware(app, Cors((ORIGIN,)), memory)) for memory in (cache.answers, None)]
    yield servers
    for server in servers:
        server.close()


PATHS = [
    *[b"/api/things/%d" % n for n in range(1, 9)] * 3,
    *[b"/api/things", b"/api/things?page=1", b"/api/things?page=2&word=a", b"/api/things?", b"/api/things#x"] * 2,
    *[b"/api/things/", b"/api/%74hings", b"//api/things", b"http://x/api/things/3", b"/api/plain", b"/nothing"],
    *[b"/api/things?pages=1", b"/api/things/0", b"/api/things%00", b"/api/things/\t1", b"/", b"*", "/Käse".encode()],
]
PLAIN_TAGS = [etag_of(thing(id)) for id in (6, 7, 8)]
TAGS = [tag.encode() for tag in (*PLAIN_TAGS, *map(gzipped, PLAIN_TAGS), ", ".join(map(gzipped, PLAIN_TAGS)), "*")]
CODINGS = [
    *[b"gzip", b"gzip, deflate, br, zstd", b"br;q=1.0, gzip;q=0.8"] * 8,
    *[b"gzip;q=0", b"*", b"identity", b"br", b"gzip;q=0.5, identity"] * 2,
    *[b"", b"GZIP ; Q=1", b"*;q=0, gzip", b"x-gzip", b"gzip;q=2", b";,;", b"gzip, gzip;q=0", b"\tgzip"],
]
LINES = [
    *[b"accept-encoding: gzip", b"Accept_Encoding: gzip", b"Accept-Encoding: br"],
    *[b"Accept: */*", b"X-Request-ID: mine.1", b"X-Request-ID: mine.2", b"If-None-Match: *"] * 4,
    *[b"Origin: " + ORIGIN.encode(), b"Origin: http://evil.example", b'If-None-Match: "a", W/"b"'] * 4,
    *[b"Connection: keep-alive", b"Content-Length: 0", b"Cookie: a=b", b"Authorization: Bearer x", b"X-A:\t y "] * 2,
    *[b"Connection: close", b"Connection: TE, close", b"Expect: 100-continue", b"Host: other", b"Host: x", b"X: \xff"],
    *[b"Transfer-Encoding:", b"Transfer-Encoding: chunked, chunked", b"X : y", b"X", b" folded", b"X: \x01", b"X_Y: z"],
]


def request_of(chance):
    """Return a request, most often a good one for something that is cached."""
    method = chance.choice([b"GET"] * 12 + [b"HEAD"] * 3 + [b"POST", b"OPTIONS", b"DELETE", b"get"])
    version = chance.choice([b" HTTP/1.1"] * 20 + [b" HTTP/1.0", b" HTTP/1.2", b"", b" HTTP/1.1 x"])
    lines = [method + b" " + chance.choice(PATHS) + version]
    lines += [b"Host: shop"] if chance.random() < 0.95 else []
    lines += chance.sample(LINES, chance.choice([0, 0, 0, 1, 1, 2, 3]))
    lines += [b"Accept-Encoding: " + chance.choice(CODINGS)] if chance.random() < 0.4 else []
    lines += [b"If-None-Match: " + chance.choice(TAGS)] if chance.random() < 0.3 else []
    body = b""
    if chance.random() < 0.06:
        body = chance.choice([b"GET /", b"GET /api/things/1 HTTP/1.1\r\nHost: shop\r\n\r\n"])
        lines.append(b"Content-Length: %d" % len(body))
    elif chance.random() < 0.06:
        lines.append(b"Transfer-Encoding: chunked")
        body = chance.choice(
            [b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n", b"3\r\nabcd"]
        )
    data = b"\r\n".join([*lines, b"", body])
    if chance.random() < 0.05:  # broken somewhere
        at = chance.randrange(len(data))
        data = data[:at] + chance.choice([b"", b"\r\n", b"\n", b"\0", b"\t", b" ", b":", b"\xff"]) + data[at + 1 :]
    return data


def adding_up(chance):
    """Return two pieces: of a request that ends within the second, which is as long as all of the request's head."""
    inner, behind = (b"GET /api/things/%d HTTP/1.1\r\nHost: shop\r\n\r\n" % chance.randrange(1, 9) for _ in range(2))
    first = b"GET /api/things/%d HTTP/1.1\r\nX-A: " % chance.randrange(1, 9)
    return [first[:-5] + b"B:\r\nX-A: ".rjust(len(behind) - len(first) + 5, b"X"), inner + behind]


def pieces_of(chance):
    """Return what one client sends, cut somewhere: into requests, anywhere, or not at all."""
    if chance.random() < 0.1:
        return adding_up(chance)
    requests = [request_of(chance) for _ in range(chance.choice([1, 1, 1, 2, 3, 6]))]
    way = chance.random()
    if way < 0.35:
        return requests
    data = b"".join(requests)
    cuts = sorted(chance.sample(range(1, len(data)), chance.choice([0, 1, 1, 2, 5]))) if way < 0.9 else []
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.slow
def test_whatever_comes_in_memory_and_the_application_give_the_same_answers(both):
    seed = int(os.environ.get("SHORT_WAY_SEED", random.SystemRandom().randrange(2**32)))
    print(f"SHORT_WAY_SEED={seed}")
    chance = random.Random(seed)
    seen = collections.deque(maxlen=60)  # what somebody sends as a part, others send as a whole
    for path in PATHS:
        for accepted in (b"identity", b"gzip"):
            warming = Pair(*both)
            warming.send(b"GET " + path + b" HTTP/1.1\r\nHost: shop\r\nAccept-Encoding: " + accepted + b"\r\n\r\n")
            warming.close()
    statuses = collections.Counter()  # of the gzipped form

    for number in range(ROUNDS):
        streams = [pieces_of(chance) for _ in range(3)]
        seen.extend(piece for stream in streams for piece in stream)
        streams += [[chance.choice(seen)] for _ in range(3)]
        pairs = [Pair(*both) for _ in streams]
        sent = [[] for _ in streams]
        while any(streams):
            n = chance.choice([n for n, stream in enumerate(streams) if stream])
            sent[n].append(streams[n].pop(0))
            pairs[n].send(sent[n][-1])
        for pair, pieces in zip(pairs, sent, strict=True):
            short, long = map(leaving, pair.received)
            assert short == long, f"seed {seed}, round {number}: {pieces}"
            gzipped_forms = (b" ".join(head) for head, _ in short if any(line.endswith(b'.gz"') for line in head))
            statuses.update(re.search(rb"HTTP/1\.[01] (\d+)", head)[1] for head in gzipped_forms)
            pair.close()
    short, long = (driven.server.middleware.calls for driven in both)
    assert long > 2 * ROUNDS and short < 0.7 * long  # the others were answered from memory
    assert statuses[b"200"] > ROUNDS / 5 and statuses[b"304"] > ROUNDS / 40
