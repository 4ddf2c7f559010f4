"""Requests are read strictly, in time by their length, and alike however they are cut."""

import random
import time

import pytest
from helpers import ORIGIN
from raw_http import ask, connect, error_of, rest
from test_server import ADD, MALFORMED
from waitress.adjustments import Adjustments

from core.serving.parser import Parser

HEAD = b"POST /api/products/import HTTP/1.1\r\nHost: shop\r\n"
CODED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LARGE = 4 * 1024 * 1024
LATE = {  # what comes late, or in very small pieces: bytes that do not end, or are refused at their end
    "a first line that is none": b"GET a://" + b"1" * 16_000 + b" HTTP/1.1 x\r\nHost: shop\r\n\r\n",
    "spaces before a control character": b"GET / HTTP/1.1\r\nHost: shop\r\nX:" + b" " * 60_000 + b"\x01\r\n\r\n",
    "the size of a chunk": CODED + b"0" * LARGE,
    "what a chunk says of itself": CODED + b"1;" + b"x=y;" * (LARGE // 4),
    "a trailer": CODED + b"0\r\nX: " + b"x" * LARGE,
    "many trailers": CODED + b"0\r\n" + b"X: y\r\n" * (LARGE // 6),
    "very small chunks": CODED + b"1\r\nx\r\n" * (LARGE // 6),
}


def settings():
    """Return what a parser goes by, with one route that takes files."""
    found = Adjustments()
    found.max_request_header_size = 64 * 1024
    found.uploads = {("POST", "/api/products/import"): LARGE}
    return found


def read(data, sizes):
    """Let a parser read this in pieces; return it, and how much it took."""
    parser, taken = Parser(settings()), 0
    while taken < len(data) and not parser.completed:
        taken += parser.received(data[taken : taken + next(sizes)])
    return parser, taken


def always(size):
    """Yield pieces of one size."""
    while True:
        yield size


@pytest.mark.slow
@pytest.mark.parametrize("data", LATE.values(), ids=LATE)
def test_reading_takes_no_longer_than_there_is_to_read(data):
    started = time.process_time()

    read(data, always(8192))

    assert time.process_time() - started < 5  # without their bounds the first two take minutes, and 10 s


@pytest.mark.parametrize("name", [name for name in LATE if name != "very small chunks"])
def test_what_does_not_end_is_refused_early(name):
    parser, taken = read(LATE[name], always(1024))

    assert parser.error
    assert taken < 70_000


@pytest.mark.parametrize("name", [*MALFORMED, "good", "good chunks", "good trailers"])
def test_a_request_means_the_same_however_it_is_cut(name):
    good = {
        "good": HEAD + b"Content-Length: 5\r\n\r\nabcde",
        "good chunks": CODED + b'3\r\nabc\r\n00A;x="y"\r\n0123456789\r\n0\r\n\r\n',
        "good trailers": CODED + b"1\r\nx\r\n0\r\nX-Sum: 5\r\nY: z\r\n\r\n",
    }
    data = (MALFORMED | good)[name]
    chance = random.Random(name)

    def outcome(sizes):
        parser, taken = read(data, sizes)
        return bool(parser.error), parser.completed, None if parser.error else (taken, parser.get_body_stream().read())

    whole = outcome(always(len(data)))

    assert whole == outcome(always(7))
    for _ in range(20):
        assert whole == outcome(iter(lambda: chance.choice([1, 2, 3, 20, 5000]), None))
    assert whole[0] == (name in MALFORMED)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_page_of_another_origin_can_read_why_it_was_refused(connection, name):
    line, _, more = MALFORMED[name].partition(b"\r\n")
    request = b"".join([line, b"\r\nOrigin: ", ORIGIN.encode(), b"\r\nX-Request-ID: mine.1\r\n", more])

    answer = ask(connection, request)

    assert answer.status == 400
    assert error_of(answer)["code"] == "VALIDATION_ERROR"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["X-Request-ID"] == "mine.1"


def test_http_1_0_needs_no_host(shop_server):
    with connect(shop_server.port) as opened:
        assert ask(opened, b"GET /api/health HTTP/1.0\r\n\r\n").status == 200


def test_a_coding_that_another_header_speaks_of_is_none(connection):
    health = b"GET /api/health HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nX-Asks: transfer-encoding: gzip\r\n\r\n"

    assert ask(connection, health).status == 200
    assert rest(connection) == b""


def test_trailers_and_extensions_of_chunks_are_read_and_forgotten(connection):
    body = b'1;a="b"\r\n{\r\n01\r\n}\r\n000\r\nX-Sum: 2\r\n\r\n'

    answer = ask(connection, ADD + b"Transfer-Encoding: Chunked\r\n\r\n" + body)

    assert answer.status == 400
    assert {"product_id", "quantity"} <= {e["field"] for e in error_of(answer)["details"]["errors"]}
    assert ask(connection, b"GET /api/health HTTP/1.1\r\nHost: shop\r\n\r\n").status == 200
