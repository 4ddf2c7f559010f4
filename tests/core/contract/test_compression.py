"""Which answers leave gzipped, what their headers say, and that none of them holds a token."""

import gzip
import json
import zlib

import pytest
from bottle import HTTPResponse, response
from helpers import ORIGIN
from webob import Request
from webtest.lint import middleware as lint

from core.app import new_app
from core.cache import REVALIDATE, Cache, Cached
from core.contract import compression
from core.contract.cached_answers import CachedAnswers
from core.contract.compression import GZIP, IDENTITY, Compression, coding_of, compress
from core.contract.envelope import Envelope
from core.contract.etag import ConditionalRequests
from core.contract.validation import Query, Validation
from core.identity.auth import PUBLIC
from core.serving.cors import Cors
from core.serving.middleware import Middleware

ACCEPTED = {"Accept-Encoding": "gzip, deflate, br, zstd"}  # by every browser
AROUND = len('{"success":true,"data":"","message":"OK"}')
WRONG = "&".join(f"n{number}{'x' * 80}=1" for number in range(20))  # a query; the answer says it all
FILE = b"a { color: red }\n" * 100


@pytest.fixture
def small():
    """A shop of a few routes: `small(path, **headers)`; `small.app` is its Bottle."""
    app, cache = new_app(), Cache(60, 0, 1_000_000)
    for plugin in (ConditionalRequests(), CachedAnswers(cache), Compression(), Envelope(), Validation()):
        app.install(plugin)
    sized = Query(size={"type": "integer"})
    text = {"query": sized, "callback": lambda query: "x" * (query["size"] - AROUND), "auth": PUBLIC}
    app.get("/public", cache=REVALIDATE, **text)
    app.get("/memory", cache=Cached("things"), **text)
    app.get("/declared", compress=True, **text)
    app.get("/silent", **text)
    app.get("/private", cache="private, no-cache", **text)
    app.get("/file", produces="text/css", cache=REVALIDATE, callback=lambda: FILE, auth=PUBLIC)
    wired = lint(Middleware(app, Cors((ORIGIN,)), cache.answers))

    def ask(path, method="GET", **headers):
        return asked(wired, path, method, {name.replace("_", "-"): value for name, value in headers.items()})

    ask.app, ask.cache = app, cache
    return ask


def asked(application, path, method="GET", headers=None, **body):
    """Return the answer as it leaves: WebTest's client would decompress it. `body`: json={…}."""
    kind = {"Content-Type": "application/json"} if body else {}
    return Request.blank(path, method=method, headers={**kind, **(headers or {})}, **body).get_response(application)


def plain(answer):
    """Return the body of an answer as it was before it was compressed."""
    return gzip.decompress(answer.body) if answer.headers.get("Content-Encoding") == "gzip" else answer.body


def vary(answer):
    """Return what Vary names."""
    return set(answer.headers.get("Vary", "").split(", "))


@pytest.mark.parametrize("path", ["/public", "/memory", "/declared"])
def test_answers_of_1_kib_and_more_leave_gzipped_to_who_accepts_it(small, path):
    for size, packed in ((1023, False), (1024, True), (5000, True)):
        answer, other = (small(f"{path}?size={size}", **headers) for headers in (ACCEPTED, {}))

        assert len(plain(answer)) == len(other.body) == size and plain(answer) == other.body
        assert (answer.headers.get("Content-Encoding") == "gzip") is packed
        assert "Content-Encoding" not in other.headers
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert ("Accept-Encoding" in vary(answer)) is ("Accept-Encoding" in vary(other)) is packed
        assert {"Origin"} <= vary(answer) & vary(other)


@pytest.mark.parametrize("path", ["/silent", "/private"])
def test_a_route_that_says_nothing_or_is_for_one_client_is_never_compressed(small, path):
    for answer in (small(path + "?size=5000", **ACCEPTED), small(f"{path}?{WRONG}", **ACCEPTED)):
        assert "Content-Encoding" not in answer.headers and "Accept-Encoding" not in vary(answer)
        assert len(answer.body) > 1024 and answer.json


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (None, IDENTITY),
        ("", IDENTITY),
        ("gzip", GZIP),
        ("GZip", GZIP),
        ("x-gzip", GZIP),
        ("*", GZIP),
        ("br, gzip;q=0.8", GZIP),
        ("deflate, br", IDENTITY),
        ("gzip;q=0", IDENTITY),
        ("gzip;q=0.000, *", IDENTITY),
        ("gzip; q=0.001", GZIP),
        ("gzip ;q=1.000 ,br", GZIP),
        ("*;q=0", IDENTITY),
        ("*;q=0, gzip", GZIP),
        ("br, *;q=0.1", GZIP),
        ("identity", IDENTITY),
        ("identity;q=0", IDENTITY),
        ("identity;q=0, gzip;q=0.1", GZIP),
        ("identity, gzip;q=0.5", IDENTITY),
        ("identity;q=0.5, gzip;q=0.5", GZIP),
        ("gzip;q=2", IDENTITY),
        ("gzip;q=-1", IDENTITY),
        ("gzip;q=nan", IDENTITY),
        ("gzip;q=inf", IDENTITY),
        ("gzip;q=", IDENTITY),
        ("gzip;q=0.5;q=1", IDENTITY),
        ("gzip;level=9", IDENTITY),
        ("gzip, gzip;q=0", IDENTITY),
        ("gzipped, ungzip", IDENTITY),
        (";,;,=", IDENTITY),
        ('"gzip"', IDENTITY),
    ],
)
def test_gzip_is_sent_to_who_accepts_it_and_does_not_like_plain_text_better(accepted, coding):
    assert coding_of(accepted) == coding


def test_a_long_accept_encoding_is_read_in_no_time():
    assert coding_of(",;" * 30_000 + ",gzip") == GZIP


@pytest.mark.parametrize("path", ["/public?size=5000", "/memory?size=5000", "/file"])
def test_either_form_has_its_own_strong_etag_and_is_not_sent_again_to_who_has_it(small, path):
    packed, other = small(path, **ACCEPTED), small(path)
    tags = packed.headers["ETag"], other.headers["ETag"]

    again = small(path, **ACCEPTED, If_None_Match=tags[0]), small(path, If_None_Match=tags[1])
    crossed = small(path, **ACCEPTED, If_None_Match=tags[1]), small(path, If_None_Match=tags[0])

    assert tags[0] != tags[1] and all(tag.startswith('"') for tag in tags)
    for answer, tag in zip(again, tags, strict=True):
        assert (answer.status_int, answer.body, answer.headers["ETag"]) == (304, b"", tag)
        assert "Content-Encoding" not in answer.headers and "Accept-Encoding" in vary(answer)
    # A cache between us may have only the other form, and give it to a client that cannot read it.
    assert [answer.status_int for answer in crossed] == [200, 200]
    assert [answer.headers["ETag"] for answer in crossed] == list(tags)


def test_a_cache_that_has_both_forms_is_told_which_one_still_holds(small):
    tags = [small("/public?size=5000", **headers).headers["ETag"] for headers in (ACCEPTED, {})]

    for headers, tag in zip((ACCEPTED, {}), tags, strict=True):
        answer = small("/public?size=5000", **headers, If_None_Match=", ".join(tags))
        assert (answer.status_int, answer.headers["ETag"]) == (304, tag)


@pytest.mark.parametrize("path", ["/public?size=5000", "/declared?size=5000", "/file"])
def test_head_has_the_headers_of_get(small, path):
    moving = ("X-Request-ID",)
    for headers in (ACCEPTED, {}):
        get, head = small(path, **headers), small(path, "HEAD", **headers)

        assert head.body == b""
        assert [pair for pair in head.headers.items() if pair[0] not in moving] == [
            pair for pair in get.headers.items() if pair[0] not in moving
        ]


def test_vary_keeps_what_the_handler_has_set(small):
    def handler():
        """Depend on who asks."""
        response.set_header("Vary", "Authorization")
        return "x" * 2000

    small.app.get("/depends", callback=handler, cache=Cached("things"), auth=PUBLIC)

    for headers in (ACCEPTED, {}, ACCEPTED):
        assert vary(small("/depends", **headers)) == {"Origin", "Authorization", "Accept-Encoding"}


def test_an_answer_that_a_handler_raises_is_compressed_too(small):
    def handler():
        """Give a page."""
        raise HTTPResponse(FILE, headers={"Content-Type": "text/html", "Vary": "Accept"})

    small.app.get("/page", callback=handler, cache=REVALIDATE, auth=PUBLIC)

    answer = small("/page", **ACCEPTED)

    assert answer.headers["Content-Encoding"] == "gzip" and plain(answer) == FILE
    assert vary(answer) == {"Origin", "Accept", "Accept-Encoding"}


def test_errors_of_1_kib_leave_gzipped_where_their_route_may(small):
    path = "/public?" + WRONG

    packed, other = small(path, **ACCEPTED), small(path)

    assert packed.status_int == other.status_int == 400
    assert packed.headers["Content-Encoding"] == "gzip" and len(packed.body) < len(other.body) / 3
    assert json.loads(plain(packed)) == other.json and other.json["error"]["code"] == "VALIDATION_ERROR"
    assert "Accept-Encoding" in vary(packed) & vary(other)
    assert packed.headers["Cache-Control"] == "no-store"


def test_what_is_in_memory_is_compressed_once_and_stored_compressed(small, monkeypatch):
    made = []
    monkeypatch.setattr(compression, "zlib", counting(made))

    answers = [small("/memory?size=50000", **ACCEPTED) for _ in range(5)]

    assert len({answer.body for answer in answers}) == len(made) == 1
    stored, _ = small.cache.answers.peek(("/memory", "size=50000", GZIP))
    assert stored.body == answers[0].body
    assert stored.size < 10_000  # that is what CACHE_SIZE_MB counts
    assert small.cache.answers.peek(("/memory", "size=50000", IDENTITY)) is None


def test_a_file_is_compressed_once(small, monkeypatch):
    made = []
    monkeypatch.setattr(compression, "zlib", counting(made))

    answers = [small("/file", **ACCEPTED) for _ in range(5)]

    assert {plain(answer) for answer in answers} == {FILE} and len(made) == 1


def test_a_file_that_becomes_another_is_compressed_anew(small):
    contents = [FILE, FILE.upper()]
    small.app.get("/edited", produces="text/css", cache=REVALIDATE, callback=lambda: contents[0], auth=PUBLIC)
    first = small("/edited", **ACCEPTED)

    contents.reverse()
    second = small("/edited", **ACCEPTED)

    assert (plain(first), plain(second)) == (FILE, FILE.upper())


def counting(made):
    """Return a zlib that notes each compressor that it makes."""

    class Counting:
        DEFLATED = zlib.DEFLATED

        @staticmethod
        def compressobj(*arguments, **named):
            made.append(arguments)
            return zlib.compressobj(*arguments, **named)

    return Counting


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024, 32768, 32769, 100_000])
def test_whatever_is_compressed_comes_out_again_and_is_the_same_bytes_each_time(size):
    body = bytes(n * n % 251 for n in range(size))

    for level in (compression.FAST, compression.BEST):
        packed = compress(body, level)
        assert gzip.decompress(packed) == body
        assert compress(body, level) == packed and packed[4:8] == bytes(4)  # no date in it
